"""Images of any kind and size, alone or in a batch, show the same face; what is no image is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.errors import ImageError
from aue_crl_core.types import FaceBox, FacePrediction, Frame


def _same(one: FacePrediction, other: FacePrediction) -> None:
    assert (one.face_id, one.state) == (other.face_id, other.state)
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.05)
    for name in ("probabilities", "action_units", "attention"):
        a, b = getattr(one, name), getattr(other, name)
        assert list(a) == list(b)
        np.testing.assert_allclose(list(a.values()), list(b.values()), atol=1e-4)


def test_a_batch_of_frames_gives_what_each_alone_gives(analyzer, photograph, raf_images, empty):
    images = [photograph, *raf_images[:4], empty]
    together = analyzer.process([Frame(image) for image in images])
    assert together[-1] == []
    for image, faces in zip(images, together, strict=True):
        alone = analyzer(image)
        assert len(alone) == len(faces)
        for a, b in zip(alone, faces, strict=True):
            _same(a, b)


def test_no_frames_are_no_faces(analyzer):
    assert analyzer.process([]) == []
    assert analyzer.find([]) == []
    assert analyzer.in_boxes([], []) == []


def test_sixteen_bits_floats_and_alpha_show_the_same_face(analyzer, hopper, photograph):
    alpha = np.dstack([photograph, np.full(photograph.shape[:2], 128, np.uint8)])
    for image in (photograph.astype(np.uint16) * 257, photograph.astype(np.float64) / 255, alpha):
        (face,) = analyzer(image)
        _same(face, hopper)


def test_a_grey_image_has_the_same_face_with_or_without_its_third_dimension(analyzer, hopper, photograph):
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    (flat,), (deep,) = analyzer(grey), analyzer(grey[..., None])
    _same(flat, deep)
    assert flat.box.iou(hopper.box) > 0.9


def test_a_flipped_view_of_memory_is_taken_as_it_looks(analyzer, photograph):
    view = photograph[:, ::-1]
    (ours,), (copied,) = analyzer(view), analyzer(view.copy())
    _same(ours, copied)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (11, 11, 3)])
@pytest.mark.parametrize("detector", ["cascade", "none"])
def test_tiny_images_do_no_harm(analyzer, shape, detector):
    own = FaceAnalyzer.load("edge", detector=detector, threads=1)
    assert isinstance(own(np.full(shape, 128, np.uint8)), list)


def test_a_hundred_megapixels(analyzer, photograph):
    image = cv2.resize(photograph, (9240, 10828), interpolation=cv2.INTER_LINEAR)
    (face,) = analyzer(image)
    (small,) = analyzer(photograph)
    assert image.shape[0] * image.shape[1] > 100e6
    scale = 9240 / photograph.shape[1]
    difference = np.linalg.norm((face.landmarks + 0.5) / scale - 0.5 - small.landmarks, axis=1).mean()
    assert difference < 3


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5, 2), np.uint8), np.zeros((3, 8, 9)), np.full((9, 9, 3), np.nan)],
)
def test_an_array_that_is_no_image_is_refused_everywhere(analyzer, array):
    for use in (
        lambda: analyzer(array),
        lambda: analyzer.process([Frame(array, camera="refused")]),
        lambda: analyzer.find([array]),
        lambda: analyzer.in_boxes([array], [FaceBox(0, 0, 5, 5)]),
    ):
        with pytest.raises(ImageError, match="image must"):
            use()
