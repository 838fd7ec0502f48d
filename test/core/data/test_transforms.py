"""Augmentation moves picture and points together, and draws nothing but from its generator."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.data.transforms import Augmentation, degrade, jittered, mirrored
from aue_crl_core.errors import ConfigError
from aue_crl_core.faces.crop import apply, inverse, similarity
from aue_crl_core.facs import LEFT_EYE, RIGHT_EYE

NONE = Augmentation(rotation_deg=0, shift=0, scale=0, flip=0, grey=0, soften=0, light=0, erase=0)
seeds = st.integers(0, 2**32 - 1)


def _points(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 95, (68, 2)).astype(np.float32)


@given(seeds, st.integers(2, 100))
def test_mirroring_twice_is_the_identity(seed, size):
    image = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    points = _points(seed)
    back_image, back_points = mirrored(*mirrored(image, points))
    np.testing.assert_array_equal(back_image, image)
    np.testing.assert_allclose(back_points, points, atol=1e-4)


def test_a_mirrored_face_keeps_the_meaning_of_its_points(prepared):
    """The subject's right eye is on the image's left, before and after."""
    record = next(r for r in prepared.records if r.points is not None)
    image = np.zeros((300, 300, 3), np.uint8)
    _, points = mirrored(image, record.points)
    for face in (record.points, points):
        assert face[list(RIGHT_EYE), 0].mean() < face[list(LEFT_EYE), 0].mean()
        assert face[0, 0] < face[16, 0]
        assert face[48, 0] < face[54, 0]


@given(seeds)
def test_a_mirrored_point_marks_the_same_pixel(seed):
    points = np.round(_points(seed))
    image = np.zeros((96, 96, 3), np.uint8)
    x, y = points[45].astype(int)
    image[y, x] = 255
    shown, moved = mirrored(image, points)
    assert (shown[int(moved[36, 1]), int(moved[36, 0])] == 255).all()


@given(seeds, st.floats(0, 180), st.floats(0, 0.5), st.floats(0, 0.9), st.floats(-3, 3))
def test_jitter_stays_within_its_ranges(seed, rotation, shift, scale, angle):
    to_image = similarity((50, 60), 120, angle, 96)
    ranges = Augmentation(rotation_deg=rotation, shift=shift, scale=scale)
    moved = jittered(to_image, 96, ranges, np.random.default_rng(seed))
    ratio = np.hypot(*moved[:, 0]) / np.hypot(*to_image[:, 0])
    assert 1 - scale - 1e-9 <= ratio <= 1 + scale + 1e-9
    np.testing.assert_allclose(moved[:, 0] @ moved[:, 1], 0, atol=1e-9)
    step = apply(inverse(to_image), apply(moved, np.array([[47.5, 47.5]])))[0] - 47.5
    assert np.abs(step).max() <= shift * 96 + 1e-6
    turn = np.arctan2(*moved[::-1, 0]) - np.arctan2(*to_image[::-1, 0])
    assert np.cos(turn) >= np.cos(np.deg2rad(rotation)) - 1e-9


def test_all_zero_is_none_at_all(photograph):
    image = cv2.resize(photograph, (96, 96))
    to_image = similarity((50, 60), 120, 0.2, 96)
    np.testing.assert_allclose(jittered(to_image, 96, NONE, np.random.default_rng(0)), to_image, atol=1e-12)
    np.testing.assert_array_equal(degrade(image, NONE, np.random.default_rng(0)), image)


@pytest.mark.parametrize("name", ["grey", "soften", "light", "erase", "dim", "cover"])
def test_each_degradation_changes_the_picture_and_leaves_its_input_alone(photograph, name):
    image = cv2.resize(photograph, (96, 96))
    before = image.copy()
    changed = degrade(image, Augmentation(**{**vars(NONE), name: 1.0}), np.random.default_rng(3))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    np.testing.assert_array_equal(image, before)
    if name == "grey":
        assert (changed == changed[..., :1]).all()


def test_dimmed_is_dark_and_covered_leaves_more_than_half(photograph):
    image = np.maximum(cv2.resize(photograph, (96, 96)), 60)
    for seed in range(20):
        dim = degrade(image, Augmentation(**{**vars(NONE), "dim": 1.0}), np.random.default_rng(seed))
        assert dim.mean() < 0.6 * image.mean()
        covered = degrade(image, Augmentation(**{**vars(NONE), "cover": 1.0}), np.random.default_rng(seed))
        assert 0.2 < (covered != image).any(axis=2).mean() <= 0.51


def test_the_same_generator_gives_the_same_picture(photograph):
    image = cv2.resize(photograph, (96, 96))
    first, second, other = (degrade(image, Augmentation(), np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("name", "value"),
    [("flip", 1.1), ("grey", -0.1), ("rotation_deg", 200), ("shift", 0.6), ("scale", 1.0), ("erase", float("nan"))],
)
def test_ranges_are_checked(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        Augmentation(**{name: value})
