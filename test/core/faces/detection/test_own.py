"""The project's own detector: heads at any roll in one look, on real faces."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.errors import CheckpointError, ConfigError
from aue_crl_core.faces.detection.choice import make_detector
from aue_crl_core.faces.detection.own import MODEL, OwnDetector, _rolls

FACE = (262.0, 230.0)
"""The middle of the face in the photograph, pixels."""


@pytest.fixture(scope="module")
def detector():
    return make_detector("own")


def rolled(photograph, degrees, side=600):
    """The photograph turned about the face by `degrees` (x towards y), all of the face still on it, `side` px."""
    matrix = cv2.getRotationMatrix2D(FACE, -degrees, 0.8 * side / 600)
    matrix[:, 2] += (side / 2 - FACE[0], side / 2 - FACE[1])
    return cv2.warpAffine(photograph, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)


def nearest(boxes, x, y):
    return min(boxes, key=lambda box: math.hypot(box.x + box.w / 2 - x, box.y + box.h / 2 - y))


@pytest.mark.parametrize("degrees", [0, 30, -30, 60, -60, 90, -90, 135, -135, 180])
def test_it_finds_the_face_at_any_roll_and_says_which(detector, photograph, degrees):
    boxes = detector(rolled(photograph, degrees))
    box = nearest(boxes, 300, 300)
    assert math.hypot(box.x + box.w / 2 - 300, box.y + box.h / 2 - 300) < 40
    assert 120 < box.w == box.h < 260
    said = [other.roll for other in boxes if other.as_list() == box.as_list()]
    assert len(said) in (1, 4)  # four where it is not sure
    assert min(abs(math.degrees(math.remainder(roll - math.radians(degrees), 2 * math.pi))) for roll in said) < 25


@given(st.floats(-math.pi, math.pi), st.floats(0, 1.5))
def test_a_roll_that_is_not_sure_is_said_with_three_others(roll, length):
    rolls = _rolls(length * math.cos(roll), length * math.sin(roll))
    assert len(rolls) == (1 if length >= 0.75 else 4) or length == pytest.approx(0.75)
    if length > 0.01:
        assert abs(math.remainder(rolls[0] - roll, 2 * math.pi)) < 1e-6
    for before, after in pairwise(rolls):
        assert math.remainder(after - before - math.pi / 2, 2 * math.pi) == pytest.approx(0, abs=1e-6)
    assert all(-math.pi <= said <= math.pi for said in rolls)


def test_a_large_image_is_looked_at_small_and_boxes_are_in_its_own_pixels(detector, photograph):
    box = nearest(detector(rolled(photograph, 80, 2400)), 1200, 1200)
    assert math.hypot(box.x + box.w / 2 - 1200, box.y + box.h / 2 - 1200) < 160


def test_a_small_face_is_found(detector, photograph):
    side = 0.14 * 600  # of the photograph; its face is then about 26 px
    image = np.full((480, 640, 3), 120, np.uint8)
    image[200 : 200 + round(side), 300 : 300 + round(side)] = cv2.resize(
        photograph, (round(side),) * 2, interpolation=cv2.INTER_AREA
    )
    x, y = 300 + FACE[0] * side / photograph.shape[1], 200 + FACE[1] * side / photograph.shape[0]
    box = nearest(detector(image), x, y)
    assert math.hypot(box.x + box.w / 2 - x, box.y + box.h / 2 - y) < 8


def test_it_sees_the_luminance_only(detector, photograph):
    grey = cv2.cvtColor(cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    ours, theirs = detector(photograph), detector(grey)
    assert len(ours) == len(theirs) > 0
    np.testing.assert_allclose([b.as_list() for b in ours], [b.as_list() for b in theirs], atol=0.5)


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (3, 40_000), (2, 2)])
def test_images_of_odd_shapes_are_looked_at(detector, shape):
    assert detector(np.zeros((*shape, 3), np.uint8)) == []


def test_it_is_what_yunet_leaves_rolled_heads_to():
    yunet = make_detector("yunet", min_face_px=40)
    assert yunet.at_any_roll.name == "own"
    assert yunet.at_any_roll.min_face_px == 40


def test_a_damaged_file_is_refused(tmp_path):
    damaged = bytearray(MODEL.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "detector.onnx").write_bytes(damaged)
    with pytest.raises(CheckpointError, match="not as it was written"):
        OwnDetector(tmp_path / "detector.onnx")


@pytest.mark.parametrize(
    "setting",
    [{"min_face_px": 0}, {"work_px": 63}, {"score_threshold": 1.0}, {"threads": 0}],
    ids=lambda s: next(iter(s)),
)
def test_a_setting_out_of_range_is_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        OwnDetector(**setting)
