"""Geometry of crops: pixel centres at whole numbers, in the image and in the crop."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core.config import Preprocessing
from aue_crl_core.errors import ImageError
from aue_crl_core.faces import crop
from aue_crl_core.facs import LEFT_EYE, RIGHT_EYE
from aue_crl_core.types import FaceBox

UPRIGHT = Preprocessing(input_size=96)

angles = st.floats(-np.pi, np.pi)
sides = st.floats(10, 600)
places = st.tuples(st.floats(-500, 500), st.floats(-500, 500))
sizes = st.sampled_from([64, 96, 224])


def _face(seed: int = 0) -> np.ndarray:
    """68 points of a level face about 100 px wide: random but for the eyes."""
    points = np.random.default_rng(seed).uniform((100, 100), (200, 220), (68, 2))
    points[list(RIGHT_EYE), 1] = points[list(LEFT_EYE), 1] = 140
    points[list(RIGHT_EYE), 0] = 120
    points[list(LEFT_EYE), 0] = 170
    return points.astype(np.float32)


def _turned(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points @ (scale * turn).T + shift).astype(np.float32)


def _ramp(width: int, height: int, dtype: type = np.uint8) -> np.ndarray:
    """Red is x and green is y."""
    image = np.zeros((height, width, 3), dtype)
    image[..., 0] = np.arange(width)[None]
    image[..., 1] = np.arange(height)[:, None]
    return image


@given(places, sides, angles, sizes)
def test_the_way_to_the_image_and_back_is_the_identity(centre, side, angle, size):
    to_image = crop.similarity(centre, side, angle, size)
    points = np.random.default_rng(0).uniform(-50, size + 50, (20, 2))
    back = crop.apply(crop.inverse(to_image), crop.apply(to_image, points))
    np.testing.assert_allclose(back, points, atol=1e-6)


@given(places, sides, angles, sizes)
def test_the_middle_of_the_crop_lies_on_the_centre_and_its_side_spans_the_square(centre, side, angle, size):
    to_image = crop.similarity(centre, side, angle, size)
    middle = (size - 1) / 2
    np.testing.assert_allclose(crop.apply(to_image, np.array([[middle, middle]]))[0], centre, atol=1e-6)
    left, right = crop.apply(to_image, np.array([[-0.5, middle], [size - 0.5, middle]]))
    np.testing.assert_allclose(right - left, side * np.array([np.cos(angle), np.sin(angle)]), atol=1e-6)


@given(angles, st.floats(0.2, 5), places)
def test_a_turned_scaled_and_shifted_face_has_the_same_points_in_its_crop(angle, scale, shift):
    points = _face()
    moved = _turned(points, angle, scale, shift)
    expected = crop.apply(crop.inverse(crop.map_from_points(points, UPRIGHT)), points)
    actual = crop.apply(crop.inverse(crop.map_from_points(moved, UPRIGHT)), moved)
    np.testing.assert_allclose(actual, expected, atol=0.05)


def test_without_alignment_the_crop_stays_upright():
    points = _turned(_face(), 0.4, 1, (0, 0))
    to_image = crop.map_from_points(points, Preprocessing(input_size=96, align=False))
    assert to_image[1, 0] == 0
    assert to_image[0, 0] > 0


@given(angles)
def test_roll_is_the_angle_that_the_face_was_turned_by(angle):
    difference = crop.roll(_turned(_face(), angle, 1, (0, 0))) - angle
    assert np.cos(difference) == pytest.approx(1, abs=1e-6)


def test_margin_and_lift_are_measured_in_sides():
    points = _face()
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max()) * 1.3
    to_image = crop.map_from_points(points, Preprocessing(input_size=96, margin=0.3, lift=0.05))
    middle = crop.apply(to_image, np.array([[47.5, 47.5]]))[0]
    np.testing.assert_allclose(middle, (low + high) / 2 - (0, 0.05 * side), atol=1e-3)
    assert to_image[0, 0] * 96 == pytest.approx(side)


def test_the_landmark_nets_first_crop_is_a_square_of_1_2_box_sides_turned_as_the_face_in_it():
    to_image = crop.map_from_box(FaceBox(10, 20, 101, 61, roll=0.4), 96)
    np.testing.assert_allclose(crop.apply(to_image, np.array([[47.5, 47.5]]))[0], (60, 50))
    np.testing.assert_allclose(to_image[:, 0] * 96, 1.2 * 101 * np.array([np.cos(0.4), np.sin(0.4)]))


@pytest.mark.parametrize(("side", "used"), [(0.5, 0.5), (0.0, 0.001)])
def test_a_square_of_less_than_a_pixel_has_that_side_and_one_of_none_a_thousandth(side, used):
    assert crop.similarity((3, 4), side, 0, 96)[0, 0] * 96 == pytest.approx(used)


def test_the_crop_of_a_whole_image_box_at_its_own_size_is_the_image():
    image = _ramp(64, 64)
    to_image = crop.map_from_box(FaceBox(0, 0, 64, 64), 64, scale=1)
    np.testing.assert_array_equal(crop.cut(image, to_image, 64), image)


@settings(deadline=None, max_examples=60)
@given(st.floats(20, 250), st.floats(100, 150), st.floats(100, 150), angles, st.sampled_from([32, 64, 96]))
def test_every_crop_pixel_shows_the_place_that_the_map_names(side, x, y, angle, size):
    """At any scale: whole-factor shrinking must not shift the picture. Where the crop lies in the image."""
    image = _ramp(256, 256, np.float32)
    to_image = crop.similarity((x, y), side, angle, size)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2)
    expected = crop.apply(to_image, grid)
    border = 2 * max(1, int(side / size)) + 2
    inside = ((expected > border) & (expected < 255 - border)).all(axis=1)
    shown = crop.cut(image, to_image, size).reshape(-1, 3)[:, :2].astype(float)
    assert inside.any()
    errors = (shown - expected)[inside] / max(1, side / size)
    assert np.abs(errors).max() <= 0.1
    assert np.abs(errors.mean(axis=0)).max() <= 0.05


@pytest.mark.parametrize("factor", [2, 3])
def test_a_shrunk_crop_is_the_average_of_the_pixels_it_covers(raf_images, factor):
    image = np.ascontiguousarray(raf_images[0][:96, :96])
    size = 96 // factor
    means = image.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    to_image = crop.map_from_box(FaceBox(0, 0, 96, 96), size, scale=1)
    assert np.abs(crop.cut(image, to_image, size) - means).max() <= 1


def test_a_shrunk_crop_does_not_alias():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    shown = crop.cut(stripes, crop.map_from_box(FaceBox(64, 64, 384, 384), 96, scale=1), 96)
    assert np.abs(shown.astype(int) - 127).max() <= 2


def test_beyond_the_border_the_edge_repeats():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 0] = (10, 20, 30)
    image[:, -1] = (200, 100, 50)
    shown = crop.cut(image, crop.map_from_box(FaceBox(-40, 0, 120, 40), 120, scale=1), 120)
    np.testing.assert_array_equal(shown[:, :40], np.broadcast_to((10, 20, 30), (120, 40, 3)))
    np.testing.assert_array_equal(shown[:, -40:], np.broadcast_to((200, 100, 50), (120, 40, 3)))


@pytest.mark.parametrize("side", [10, 100, 1000])
@pytest.mark.parametrize("centre", [(-5000, 20), (20, -5000), (5000, 5000), (-1e5, 1e5)])
def test_a_crop_wholly_outside_shows_the_nearest_edge(side, centre):
    image = _ramp(40, 40)
    shown = crop.cut(image, crop.similarity(centre, side, 0, 96), 96)
    nearest = np.clip(centre, 0, 39)
    if 0 < centre[0] < 39 or 0 < centre[1] < 39:
        edge = 0 if centre[0] in (-5000, 5000) else 1
        assert (shown[..., edge] == nearest[edge]).all()
    else:
        assert (shown == (*nearest.astype(int), 0)).all()


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), places, sides, angles)
def test_tiny_images_can_be_cut_anywhere(width, height, centre, side, angle):
    image = np.full((height, width, 3), 77, np.uint8)
    shown = crop.cut(image, crop.similarity(centre, side, angle, 96), 96)
    assert shown.shape == (96, 96, 3)
    assert (shown == 77).all()


def test_a_single_pixel_fills_the_crop():
    image = np.array([[[1, 2, 3]]], np.uint8)
    for side in (0.5, 1, 1000):
        shown = crop.cut(image, crop.similarity((0, 0), side, 0.3, 96), 96)
        assert (shown == (1, 2, 3)).all()
        shown[0, 0] = 9  # the caller's own


@pytest.mark.parametrize("shape", [(10, 40_000), (40_000, 10)])
@pytest.mark.parametrize("side", [8, 150, 600])
def test_an_image_longer_than_opencv_warps(shape, side):
    image = np.zeros((*shape, 3), np.uint8)
    image[-50:, -50:] = 200
    shown = crop.cut(image, crop.similarity((shape[1], shape[0]), side / 10, 0, 96), 96)
    assert (shown[60:, 60:] == 200).all()


@pytest.mark.parametrize("long", [32_767, 40_000])
@pytest.mark.parametrize("wide", [True, False])
def test_a_crop_of_an_image_longer_than_opencv_warps_is_that_of_its_part(long, wide):
    image = np.random.default_rng(0).integers(0, 256, (40, long, 3), np.uint8)
    image, part = (image, image[:, -200:]) if wide else (image.swapaxes(0, 1), image.swapaxes(0, 1)[-200:])
    x, y = (1, 0) if wide else (0, 1)
    shown = crop.cut(image, crop.similarity((20 + x * (long - 120), 20 + y * (long - 120)), 60, 0.3, 96), 96)
    alone = crop.cut(np.ascontiguousarray(part), crop.similarity((20 + x * 80, 20 + y * 80), 60, 0.3, 96), 96)
    assert np.abs(shown.astype(int) - alone).mean() < 1


def test_a_face_in_a_hundred_megapixels(photograph):
    face = cv2.resize(photograph, (1024, 1200), interpolation=cv2.INTER_AREA)
    image = np.zeros((10_000, 10_000, 3), np.uint8)
    image[8000:9200, 8500:9524] = face
    large = crop.cut(image, crop.map_from_box(FaceBox(8500, 8000, 1024, 1024), 96, scale=1), 96)
    small = np.ascontiguousarray(image[7900:, 8400:])
    alone = crop.cut(small, crop.map_from_box(FaceBox(100, 100, 1024, 1024), 96, scale=1), 96)
    np.testing.assert_array_equal(large, alone)
    assert large.std() > 20


def test_points_that_are_all_equal_give_a_crop_of_that_pixel():
    image = _ramp(64, 64)
    points = np.full((68, 2), (20, 30), dtype=np.float32)
    face = crop.crop_face(image, crop.map_from_points(points, UPRIGHT), 96)
    assert np.isfinite(face.to_image).all()
    assert (face.image == (20, 30, 0)).all()
    np.testing.assert_allclose(crop.apply(crop.inverse(face.to_image), points[:1]), [(47.5, 47.5)])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_place_that_is_not_finite_is_refused(value):
    points = _face()
    points[7, 1] = value
    with pytest.raises(ImageError, match="finite"):
        crop.map_from_points(points, UPRIGHT)
    with pytest.raises(ImageError, match="finite"):
        crop.map_from_box(FaceBox(value, 0, 10, 10), 96)


def test_mirrored_points_trade_sides_and_mirrored_twice_are_as_before():
    points = _face()
    mirrored = crop.mirrored_points(points, 96)
    np.testing.assert_allclose(mirrored[0], (95 - points[16, 0], points[16, 1]))
    np.testing.assert_allclose(mirrored[8], (95 - points[8, 0], points[8, 1]))
    np.testing.assert_allclose(crop.mirrored_points(mirrored, 96), points, atol=1e-4)
