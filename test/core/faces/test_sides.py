"""Which side of a face acts: asked of faces that are made of one half."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.faces.crop import mirrored_points
from aue_crl_core.faces.sides import half_face, sided_units

LEFT_CORNER = 54
"""Of the mouth, the person's own left."""


@pytest.fixture(scope="module")
def analyzer():
    return FaceAnalyzer.load(threads=1, config=AnalyzerConfig(sides=True))


def pulled(image: np.ndarray, point: np.ndarray, by: np.ndarray, reach: float) -> np.ndarray:
    """The picture around `point` moved by `by` pixels, less and less up to `reach`."""
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    weight = np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / (2 * reach**2)).astype(np.float32)
    return cv2.remap(image, columns - np.float32(by[0]) * weight, rows - np.float32(by[1]) * weight, cv2.INTER_LINEAR)


@given(seed=st.integers(0, 2**16), line=st.integers(20, 43), side=st.sampled_from(facs.SIDES))
@settings(max_examples=30, deadline=None)
def test_a_half_face_is_symmetrical_and_its_own_half_is_kept(seed, line, side):
    rng = np.random.default_rng(seed)
    crop = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    points = rng.uniform(0, 63, (68, 2)).astype(np.float32)
    points[:, 0] += line - points[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66], 0].mean()
    face, placed = half_face(crop, points, side)
    reach = min(line, 63 - line)
    shown = face[:, line - reach : line + reach + 1]
    assert np.abs(shown.astype(int) - shown[:, ::-1]).max() <= 1, "interpolation rounds"
    np.testing.assert_allclose(mirrored_points(placed, 2 * line + 1), placed, atol=1e-3)
    own = list(facs.LEFT_POINTS if side == "left" else facs.RIGHT_POINTS)
    np.testing.assert_allclose(placed[own], points[own], atol=1e-4)
    kept = slice(line + 1, None) if side == "left" else slice(None, line)
    assert np.abs(face[:, kept].astype(int) - crop[:, kept]).max() <= 8, "the line is a fraction of a pixel off"


def test_the_sides_of_a_mirrored_picture_trade_places(analyzer, photograph):
    """Of a face that smiles on its left side only."""
    (plain,) = analyzer(photograph)
    size = plain.box.w
    smiling = pulled(photograph, plain.landmarks[LEFT_CORNER], np.array([0.05, -0.07]) * size, 0.08 * size)
    (seen,), (mirrored,) = analyzer(smiling), analyzer(np.ascontiguousarray(smiling[:, ::-1]))
    assert set(seen.sides) == set(facs.SIDES)
    assert tuple(seen.sides["left"]) == facs.SIDED_UNITS
    for face, smiles, rests in ((seen, "left", "right"), (mirrored, "right", "left")):
        assert face.sides[smiles][12] > 0.9
        assert face.sides[rests][12] < 0.2


def test_a_mouth_that_is_pulled_up_on_one_side_smiles_there(analyzer, photograph):
    (before,) = analyzer(photograph)
    corner, size = before.landmarks[LEFT_CORNER], before.box.w
    (after,) = analyzer(pulled(photograph, corner, np.array([0.05, -0.07]) * size, 0.08 * size))
    change = {side: after.sides[side][12] - before.sides[side][12] for side in facs.SIDES}
    assert change["left"] > 0.1
    assert change["left"] > change["right"] + 0.1


def test_nothing_is_said_unasked(analyzer, photograph):
    assert FaceAnalyzer(analyzer.engine, analyzer.detector)(photograph)[0].sides == {}


def test_nothing_is_said_of_a_head_that_is_turned_away(analyzer, photograph):
    size = analyzer.engine.config.preprocessing.input_size
    crops = np.repeat(cv2.resize(photograph, (size, size))[None], 4, axis=0)
    points = np.random.default_rng(0).uniform(0, size, (4, 68, 2)).astype(np.float32)
    sides = sided_units(analyzer.engine, crops, points, [np.radians(14), np.radians(16), -np.radians(16), np.nan])
    assert [sorted(found) for found in sides] == [["left", "right"], [], [], []]
