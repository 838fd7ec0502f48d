"""What of a face is covered: drawn on real faces, and what the rest of the path makes of it."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core import facs
from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.config import Preprocessing
from aue_crl_core.dynamics.course import FaceCourse
from aue_crl_core.errors import CheckpointError
from aue_crl_core.faces import visibility
from aue_crl_core.faces.crop import cut, map_from_points
from aue_crl_core.faces.visibility import visible_parts

MASK = [*range(2, 15), 28]
WHITE, BLUE, BLACK = (235, 238, 240), (140, 180, 205), (25, 25, 30)
MOUTH_UNITS = {unit for unit, centres in facs.REGION_CENTRES.items() if set(sum(centres, ())) <= set(facs.MOUTH)}


@pytest.fixture(scope="module")
def analyzer():
    return FaceAnalyzer.load("edge", threads=1)


def masked(image, points, colour):
    """A mask from the bridge of the nose to the jaw."""
    out, jaw = image.copy(), points[MASK]
    cv2.fillPoly(out, [np.round(jaw).astype(np.int32)], colour, cv2.LINE_AA)
    return out


def in_dark_glasses(image, points):
    out = image.copy()
    for eye in (facs.RIGHT_EYE, facs.LEFT_EYE):
        middle, width = points[list(eye)].mean(axis=0), np.ptp(points[list(eye), 0])
        axes = (round(0.9 * width), round(0.7 * width))
        cv2.ellipse(out, tuple(np.round(middle).astype(int).tolist()), axes, 0, 0, 360, BLACK, -1, cv2.LINE_AA)
    return out


def crop(image, points):
    return cut(image, map_from_points(points, Preprocessing(input_size=96)), 96)


def test_of_a_whole_face_everything_is_visible(analyzer, photograph):
    (face,) = analyzer(photograph)
    assert face.quality.eyes_visible > 0.8
    assert face.quality.mouth_visible > 0.8
    assert face.state == "ok"


@pytest.mark.parametrize("colour", [WHITE, BLUE, BLACK])
def test_a_mask_covers_the_mouth_and_not_the_eyes(analyzer, photograph, colour):
    (face,) = analyzer(photograph)
    (parts,) = visible_parts([crop(masked(photograph, face.landmarks, colour), face.landmarks)])
    assert parts.mouth < 0.3
    assert parts.eyes > 0.7


def test_dark_glasses_cover_the_eyes_and_not_the_mouth(analyzer, photograph):
    (face,) = analyzer(photograph)
    (parts,) = visible_parts([crop(in_dark_glasses(photograph, face.landmarks), face.landmarks)])
    assert parts.eyes < 0.3
    assert parts.mouth > 0.7


def test_all_faces_of_a_batch_are_answered_in_their_order(analyzer, photograph):
    points = analyzer(photograph)[0].landmarks
    crops = [crop(image, points) for image in (photograph, masked(photograph, points, BLUE))] * 3
    together = visible_parts(crops)
    np.testing.assert_allclose(together, [visible_parts([one])[0] for one in crops], atol=1e-5)
    assert visible_parts([]) == []


def test_a_face_in_a_mask_is_found_and_of_low_quality_unless_the_user_says_otherwise(analyzer, photograph):
    points = analyzer(photograph)[0].landmarks
    (face,) = analyzer(masked(photograph, points, WHITE))
    assert face.state == "low_quality"
    anyway = FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(min_mouth_visible=0))
    assert anyway(masked(photograph, points, WHITE))[0].state != "low_quality"


def test_action_units_of_what_is_covered_are_not_visible(analyzer, photograph):
    points, size = analyzer(photograph)[0].landmarks, photograph.shape[1::-1]
    (bare,), (mask,), (glasses,) = (
        analyzer(i) for i in (photograph, masked(photograph, points, BLUE), in_dark_glasses(photograph, points))
    )
    everything = FaceCourse().update(bare, 0, size)[0].visible
    assert everything - FaceCourse().update(mask, 0, size)[0].visible == MOUTH_UNITS
    assert everything - FaceCourse().update(glasses, 0, size)[0].visible == {5, 6, 7}


def test_photographs_of_real_faces_are_rarely_called_covered(analyzer, raf_images):
    """Of a dozen, whose eyes and mouths can all be seen."""
    faces = [face for image in raf_images for face in analyzer(image)[:1]]
    assert len(faces) == len(raf_images) > 10
    assert sum(face.quality.mouth_covered for face in faces) <= 1
    assert sum(face.quality.eyes_covered for face in faces) <= 1


def test_a_missing_or_damaged_network_is_said_to_be_this_packages_before_the_first_face(
    analyzer, photograph, tmp_path, monkeypatch
):
    copy = shutil.copy(visibility.MODEL, tmp_path / "visibility.onnx")
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 0xFF
    copy.write_bytes(data)
    monkeypatch.setattr(visibility, "MODEL", copy)
    with pytest.raises(CheckpointError, match=r"visibility\.onnx"):
        visible_parts([photograph[:96, :96]])
    copy.unlink()
    with pytest.raises(CheckpointError, match="with which this package comes"):
        FaceAnalyzer(analyzer.engine, analyzer.detector)
