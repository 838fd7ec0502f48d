"""At which sizes an image is looked at; boxes are in its own pixels whatever the size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.errors import ImageError
from aue_crl_core.faces.detection.choice import make_detector
from aue_crl_core.faces.detection.scales import IF_NONE, NearLook, as_input, look_small, look_twice
from aue_crl_core.types import FaceBox


@pytest.fixture(scope="module")
def detector():
    return make_detector("yunet")


class Whole:
    """Sees a face that fills what it is shown, from the so many-th look on; remembers the looks."""

    def __init__(self, looks_without=0):
        self.shown = []
        self.looks_without = looks_without

    def __call__(self, image):
        self.shown.append(image)
        if len(self.shown) <= self.looks_without:
            return []
        return [FaceBox(0, 0, image.shape[1], image.shape[0], 0.9, roll=0.5)]


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(1, 500))
def test_boxes_are_in_the_pixels_of_the_image(width, height, least):
    (box,) = look_twice(Whole(), np.full((height, width, 3), 99, np.uint8), min_face_px=least, work_px=320) or [None]
    if box is None:
        assert max(width, height) < least
    else:
        assert box.as_list() == pytest.approx([0, 0, width, height])
        assert (box.score, box.roll) == (0.9, 0.5)


def test_where_nothing_is_found_it_is_looked_at_small_with_a_border():
    image, see = np.full((600, 1200, 3), 99, np.uint8), Whole(looks_without=1)
    (box,) = look_twice(see, image, min_face_px=24, work_px=640)
    assert [shown.shape for shown in see.shown] == [(320, 640, 3), (240, 360, 3)]  # 120x240 and 60 px around it
    assert box.as_list() == pytest.approx([-300, -300, 1800, 1200])


@pytest.mark.parametrize(("near", "looks", "boxes"), [(IF_NONE, 1, 1), (NearLook(120, 0.5, True), 2, 2), (None, 1, 1)])
def test_a_face_that_fills_the_image_is_looked_for_where_asked(near, looks, boxes):
    see = Whole()
    found = look_twice(see, np.full((480, 640, 3), 99, np.uint8), min_face_px=24, work_px=640, near=near)
    assert (len(see.shown), len(found)) == (looks, boxes)
    nobody = Whole(looks_without=9)
    assert look_twice(nobody, np.full((480, 640, 3), 99, np.uint8), min_face_px=24, work_px=640, near=near) == []
    assert len(nobody.shown) == (1 if near is None else 2)


def test_larger_least_faces_are_looked_for_in_a_smaller_image():
    see = Whole()
    look_twice(see, np.full((480, 640, 3), 99, np.uint8), min_face_px=48, work_px=640)
    look_twice(see, np.full((480, 640, 3), 99, np.uint8), min_face_px=400, work_px=640)
    assert [shown.shape for shown in see.shown] == [(240, 320, 3), (180, 240, 3)]


def test_only_a_dark_image_is_brightened():
    shown = []
    for level in (20, 59, 61, 200):
        see = Whole()
        look_twice(see, np.full((100, 100, 3), level, np.uint8), min_face_px=24, work_px=640)
        shown.append(int(see.shown[0].mean()))
    assert shown == [100, 100, 61, 200]


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(bad):
    with pytest.raises(ImageError):
        look_twice(Whole(), bad, min_face_px=24, work_px=640)
    with pytest.raises(ImageError):
        look_small(Whole(), bad)


def test_the_small_look_finds_the_same_face_in_the_pixels_of_the_image(detector, photograph):
    image = cv2.copyMakeBorder(photograph, 100, 380, 300, 628, cv2.BORDER_REPLICATE)
    (whole,), (small,) = detector(image), look_small(detector, image)
    assert small.iou(whole) > 0.7


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (3, 3), (321, 320)])
def test_the_small_look_takes_any_shape(detector, shape):
    assert look_small(detector, np.zeros((*shape, 3), np.uint8)) == []


@given(st.integers(1, 100), st.integers(1, 100), st.sampled_from([1, 3]))
def test_a_networks_input_is_the_image_with_zeros_up_to_multiples_of_32(height, width, channels):
    pixels = np.random.default_rng(0).integers(1, 256, (height, width, channels), np.uint8)
    given = as_input(pixels)
    assert given.dtype == np.float32
    assert given.shape[:2] == (1, channels)
    assert given.shape[2] % 32 == given.shape[3] % 32 == 0
    assert 0 <= given.shape[2] - height < 32
    assert 0 <= given.shape[3] - width < 32
    np.testing.assert_array_equal(given[0, :, :height, :width], pixels.transpose(2, 0, 1))
    assert given.sum() == pixels.sum()
