"""Looks at the turned image: boxes in the image's own pixels, faces found at any roll."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.faces.crop import apply
from aue_crl_core.faces.detection import looks
from aue_crl_core.faces.detection.choice import make_detector
from aue_crl_core.faces.detection.looks import TURNS, look_small, look_turned
from aue_crl_core.types import FaceBox

FACE = (262.0, 230.0)
"""The middle of the face in the photograph, pixels."""


@pytest.fixture(scope="module")
def detector():
    return make_detector("yunet")


def rolled(photograph, degrees):
    """The photograph turned about the face by `degrees` (x towards y), all of the face still on it."""
    matrix = cv2.getRotationMatrix2D(FACE, -degrees, 0.8)
    matrix[:, 2] += (300 - FACE[0], 300 - FACE[1])
    return cv2.warpAffine(photograph, matrix, (600, 600), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("degrees", [30, 60, 90, 135, 180, -60, -90])
def test_some_look_finds_the_face_and_says_its_roll(detector, photograph, degrees):
    image = rolled(photograph, degrees)
    boxes = [box for turn in (0.0, *TURNS) for box in (look_turned(detector, image, turn) if turn else detector(image))]
    best = max(boxes, key=lambda box: box.score)
    assert math.hypot(best.x + best.w / 2 - 300, best.y + best.h / 2 - 300) < 40
    assert abs(math.degrees(math.remainder(best.roll - math.radians(degrees), 2 * math.pi))) < 12
    assert 120 < best.w < 260


def test_looks_cover_the_circle():
    angles = sorted([0.0, *(math.degrees(turn) % 360 for turn in TURNS)])
    assert max(b - a for a, b in zip(angles, [*angles[1:], 360.0], strict=True)) <= 40.01


class Corners:
    """Stands for a detector that sees one box a corner: what `look_turned` does with boxes, whatever finds them."""

    name, turned_looks = "corners", True

    def __init__(self):
        self.seen = None

    def __call__(self, image):
        self.seen = image
        height, width = image.shape[:2]
        return [FaceBox(x - 5, y - 5, 10, 10, 0.9) for x, y in ((0, 0), (width - 1, height - 1))]


@given(st.floats(-math.pi, math.pi), st.integers(2, 480), st.integers(2, 480))
def test_all_of_the_image_is_on_the_turned_one(turn, width, height):
    to_image, (columns, rows) = looks._turned(width, height, turn)
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], dtype=float)
    there = apply(cv2.invertAffineTransform(to_image), corners)
    assert there.min() >= -1.5
    assert (there.max(axis=0) <= np.array([columns, rows]) + 0.5).all()


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (3, 40_000), (2, 2)])
def test_images_of_odd_shapes_are_looked_at(detector, shape):
    assert [look_turned(detector, np.zeros((*shape, 3), np.uint8), turn) for turn in TURNS] == [[]] * len(TURNS)


def test_a_large_image_is_looked_at_small_and_boxes_are_in_its_own_pixels(detector, photograph):
    large = cv2.resize(rolled(photograph, 80), (2400, 2400), interpolation=cv2.INTER_LINEAR)
    box = max(look_turned(detector, large, TURNS[2]), key=lambda b: b.score)
    assert math.hypot(box.x + box.w / 2 - 1200, box.y + box.h / 2 - 1200) < 160


def test_boxes_come_back_as_squares_with_the_roll_of_the_look():
    corners = Corners()
    boxes = look_turned(corners, np.zeros((100, 200, 3), np.uint8), math.pi / 2)
    assert corners.seen.shape[:2] == (200, 100)
    assert [box.w == box.h == 10 for box in boxes] == [True, True]
    assert [box.roll for box in boxes] == [pytest.approx(math.pi / 2)] * 2
    middles = sorted((round(box.x + 5), round(box.y + 5)) for box in boxes)
    assert middles == [(0, 99), (199, 0)]


def test_the_small_look_finds_the_same_face_in_the_pixels_of_the_image(detector, photograph):
    image = cv2.copyMakeBorder(photograph, 100, 380, 300, 628, cv2.BORDER_REPLICATE)
    (whole,), (small,) = detector(image), look_small(detector, image)
    assert small.iou(whole) > 0.7


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (3, 3), (321, 320)])
def test_the_small_look_takes_any_shape(detector, shape):
    assert look_small(detector, np.zeros((*shape, 3), np.uint8)) == []
