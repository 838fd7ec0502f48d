"""Which lines around a picture are a border, and which are a plain background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.faces.borders import within_border

_WIDTHS = st.integers(0, 90)


@pytest.fixture(scope="module")
def picture(photograph) -> np.ndarray:
    """A part of the portrait that reaches its own edges in many colours."""
    return np.ascontiguousarray(photograph[100:400, 60:420])


@given(top=_WIDTHS, bottom=_WIDTHS, left=_WIDTHS, right=_WIDTHS, colour=st.sampled_from([(0, 0, 0), (255, 250, 240)]))
def test_a_border_of_any_width_on_any_side_is_taken_off(picture, top, bottom, left, right, colour):
    framed = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)
    part, origin = within_border(framed)
    assert origin == (left, top)
    np.testing.assert_array_equal(part, picture)


def test_a_portrait_film_in_the_middle_of_a_wide_one(picture):
    tall = picture[:, 100:268]
    part, origin = within_border(cv2.copyMakeBorder(tall, 0, 0, 182, 182, cv2.BORDER_CONSTANT))
    assert (origin, part.shape) == ((182, 0), tall.shape)


def test_bars_with_ripples_and_a_soft_edge(picture):
    framed = cv2.copyMakeBorder(picture, 40, 40, 60, 60, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    small = cv2.resize(framed, None, fx=0.77, fy=0.77, interpolation=cv2.INTER_AREA)
    sent = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_COLOR)
    part, (right, down) = within_border(sent)
    assert abs(right - 0.77 * 60) <= 2
    assert abs(down - 0.77 * 40) <= 2
    assert np.abs(np.subtract(part.shape[:2], np.multiply(picture.shape[:2], 0.77))).max() <= 4


@pytest.mark.parametrize("wall", [0, 128, 255])
def test_a_head_before_a_plain_wall_keeps_all_of_the_wall(wall):
    image = np.full((300, 400, 3), wall, np.uint8)
    cv2.ellipse(image, (200, 180), (70, 95), 0, 0, 360, (90, 140, 200), -1)
    cv2.ellipse(image, (200, 330), (150, 60), 0, 0, 360, (60, 40, 30), -1)
    part, origin = within_border(image)
    assert (part.shape, origin) == (image.shape, (0, 0))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (4000, 1, 3), (9, 9, 3), (200, 300, 3)])
def test_an_image_of_one_colour_has_no_border(shape):
    image = np.full(shape, 77, np.uint8)
    part, origin = within_border(image)
    assert (part.shape, origin) == (shape, (0, 0))


def test_a_picture_without_a_border_is_given_back_as_it_is(picture):
    part, origin = within_border(picture)
    assert origin == (0, 0)
    assert np.shares_memory(part, picture)
    assert part.shape == picture.shape


def test_a_stamp_on_a_large_sheet_is_not_taken_for_the_picture(picture):
    sheet = cv2.copyMakeBorder(picture, 900, 900, 900, 900, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    part, origin = within_border(sheet)
    assert (part.shape, origin) == (sheet.shape, (0, 0))
