"""A face and its mirror image are given the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from aue_crl_core.engines import make_engine
from aue_crl_core.engines.base import EngineOutput
from aue_crl_core.faces.crop import mirrored_points
from aue_crl_core.faces.mirrored import MirroredEngine, mean_of_looks


@pytest.fixture(scope="module")
def engine():
    return MirroredEngine(make_engine("edge", "onnx", threads=1))


def crop_of(photograph: np.ndarray, size: int) -> np.ndarray:
    """The middle of the portrait, crooked enough that its mirror image differs."""
    rows, columns = (np.linspace(a, b, size).astype(int) for a, b in ((100, 420), (60, 340)))
    return np.ascontiguousarray(photograph[rows][:, columns])[None]


def test_points_of_a_mirrored_crop_are_the_mirrored_points(engine, photograph):
    crop = crop_of(photograph, engine.landmark_size)
    points, scores = engine.landmarks(crop)
    turned, turned_scores = engine.landmarks(crop[:, :, ::-1])
    np.testing.assert_allclose(turned, mirrored_points(points, engine.landmark_size), atol=1e-3)
    np.testing.assert_allclose(turned_scores, scores, atol=1e-5)
    assert points.shape == (1, 68, 2)


def test_a_mirrored_crop_is_read_the_same(engine, photograph):
    size = engine.config.preprocessing.input_size
    crop = crop_of(photograph, size)
    points = np.random.default_rng(0).uniform(0, size, (1, 68, 2)).astype(np.float32)
    seen = engine.predict(crop, points)
    turned = engine.predict(crop[:, :, ::-1], mirrored_points(points, size))
    for name in ("probabilities", "expression_probabilities", "action_units", "attention"):
        np.testing.assert_allclose(getattr(turned, name), getattr(seen, name), atol=1e-5)
    np.testing.assert_allclose(seen.probabilities.sum(axis=1), 1, atol=1e-5)


def test_two_flips_bring_every_point_back():
    points = np.random.default_rng(0).uniform(0, 90, (3, 68, 2))
    np.testing.assert_allclose(mirrored_points(mirrored_points(points, 90), 90), points)


def test_looks_lie_one_after_the_other():
    looks = np.float32([[[0.2], [0.4]], [[0.6], [1.0]], [[0.1], [0.1]]])  # of two faces, three times
    mean = mean_of_looks(EngineOutput(*[looks.reshape(6, 1)] * len(EngineOutput.__slots__)), 3)
    for name in EngineOutput.__slots__:
        np.testing.assert_allclose(getattr(mean, name), [[0.3], [0.5]], atol=1e-6)
