"""Faces that somebody else found: read in the boxes and crops that are given, none rejected."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.errors import ImageError
from aue_crl_core.types import FaceBox


def test_in_a_given_box_a_face_is_never_rejected(analyzer, hopper, photograph, empty):
    outputs = analyzer.in_boxes(
        [photograph, empty, empty], [hopper.box, FaceBox(50, 50, 80, 80), FaceBox(-900, 0, 9, 9)]
    )
    assert len(outputs) == 3
    assert outputs[0].face.score > 0.7 > outputs[1].face.score
    assert outputs[0].face.box.iou(hopper.box) > 0.8
    for output in outputs:
        assert output.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert np.isfinite(output.face.points).all()


def test_a_box_that_is_not_finite_is_refused(analyzer, empty):
    with pytest.raises(ImageError, match="finite"):
        analyzer.in_boxes([empty], [FaceBox(np.nan, 0, 9, 9)])


def test_crops_of_another_detector_are_read_in_one_batch_as_their_faces_are_in_the_image(
    analyzer, hopper, photograph, empty
):
    x, y, w, h = (round(v) for v in hopper.box.as_list())
    tight = photograph[y : y + h, x : x + w]
    wide = photograph[y - h // 4 : y + h + h // 8, x - w // 5 : x + w + w // 5]
    one, two, none = analyzer.in_crops([tight, wide, empty], ["a", "b", "c"])
    assert (one.face_id, two.face_id, none) == ("a", "b", None)
    for face, corner in ((one, (x, y)), (two, (x - w // 5, y - h // 4))):
        apart = np.linalg.norm(face.landmarks + corner - hopper.landmarks, axis=1).mean()
        assert apart < 0.05 * w
    assert analyzer.in_crops([], []) == []
