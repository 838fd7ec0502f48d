"""Which measurements speak for an action unit: the table names what exists, and a face that moves is read rightly."""

from __future__ import annotations

import numpy as np
import pytest

from aue_crl_core.data.au_evidence import EVIDENCE, INTENSITY_UNITS, present_by_distance, raw_scores, strengths
from aue_crl_core.data.face_mesh import BLENDSHAPES, DISTANCES, MESH_POINTS, distances
from aue_crl_core.facs import ACTION_UNITS

RNG = np.random.default_rng(0)
FACES = 200
MEASURES = [(unit, name, weight) for unit in ACTION_UNITS for name, weight in EVIDENCE[unit].measures]

MESH = np.zeros((MESH_POINTS, 3))
MESH[[33, 133, 362, 263]] = (-45, 0, 0), (-15, 0, 0), (15, 0, 0), (45, 0, 0)
MESH[[159, 386, 145, 374]] = (-30, -4, 0), (30, -4, 0), (-30, 4, 0), (30, 4, 0)
MESH[[107, 336, 70, 300, 105, 334, 55, 285]] = [(x, -22, 0) for x in (-12, 12, -48, 48, -30, 30, -10, 10)]
MESH[[50, 280, 48, 278, 2]] = (-35, 30, 0), (35, 30, 0), (-15, 38, 0), (15, 38, 0), (0, 45, 0)
MESH[[0, 13, 14, 17, 37, 267]] = (0, 58, 0), (0, 66, 0), (0, 66, 0), (0, 76, 0), (-8, 58, 0), (8, 58, 0)
MESH[[61, 291, 84, 314, 152]] = (-25, 66, 0), (25, 66, 0), (-8, 76, 0), (8, 76, 0), (0, 108, 0)
"""A drawn face: vertices of the mesh in pixels, 90 of them between the outer eye corners."""


def _among_others(*faces: np.ndarray, blendshapes: np.ndarray | None = None) -> np.ndarray:
    """Scores of these meshes, measured among the same face with the mesh's own noise."""
    others = [MESH + RNG.normal(0, 1, MESH.shape) for _ in range(FACES)]
    measured = np.array([distances(mesh, np.eye(3)) for mesh in (*faces, *others)])
    shapes = RNG.uniform(0, 0.2, (len(measured), len(BLENDSHAPES)))
    shapes[: len(faces)] = 0.1 if blendshapes is None else blendshapes
    return raw_scores(shapes, measured)[: len(faces)]


def test_every_au_has_measurements_that_exist():
    assert set(EVIDENCE) == set(ACTION_UNITS)
    names = {d.name for d in DISTANCES} | set(BLENDSHAPES)
    names |= {b.removesuffix("Left").removesuffix("Right") for b in BLENDSHAPES}
    assert {name for _, name, _ in MEASURES} <= names
    assert all(weight != 0 for *_, weight in MEASURES)
    assert all(EVIDENCE[unit].sign for unit in ACTION_UNITS)


def test_geometry_sees_the_eleven_and_not_the_wrinkles():
    seen = tuple(unit for unit in ACTION_UNITS if EVIDENCE[unit].sight == "seen")
    assert seen == INTENSITY_UNITS
    assert seen == (1, 2, 4, 5, 7, 12, 15, 17, 20, 25, 26)


def test_scores_of_a_data_set_have_mean_0_and_deviation_1():
    scores = raw_scores(RNG.uniform(0, 1, (50, 52)), RNG.uniform(0, 1, (50, len(DISTANCES))))
    assert scores.shape == (50, 17)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("vertices", "step", "more", "less"),
    [
        ((14, 17, 84, 314, 152), (0, 9, 0), (25, 26), (24,)),  # the lower lip and the chin go down: the lips open
        ((107, 336), (0, -9, 0), (1,), (4,)),  # inner brows go up
        ((70, 300), (0, -9, 0), (2,), ()),  # outer brows go up
        ((159, 386), (0, -4, 0), (5,), (7,)),  # the upper lids open
        ((159, 386), (0, 4, 0), (7,), (5,)),  # they close
        ((61, 291), (0, -8, 0), (12,), (15,)),  # the lip corners go up
        ((61, 291), (0, 8, 0), (15,), (12,)),  # they go down
        ((48, 278), (0, -6, 0), (9,), ()),  # the nose's wings go up
        ((37, 267), (0, -6, 0), (10,), ()),  # the upper lip goes up
    ],
)
def test_a_drawn_face_that_moves_gets_the_au_that_moves_it(vertices, step, more, less):
    moved = MESH.copy()
    moved[list(vertices)] += step
    still, changed = _among_others(MESH, moved)
    for unit in more:
        assert changed[ACTION_UNITS.index(unit)] - still[ACTION_UNITS.index(unit)] > 0.5
    for unit in less:
        assert changed[ACTION_UNITS.index(unit)] - still[ACTION_UNITS.index(unit)] < -0.3


def test_lips_that_part_by_so_many_pixels_are_parted_on_any_face():
    """90 pixels lie between the outer eye corners: 4 are too few, 5 enough. No other AU is told by a distance alone."""
    parted = []
    for step in (0, 4, 5, 20):
        moved = MESH.copy()
        moved[14] += (0, step, 0)
        parted.append(distances(moved, np.eye(3)))
    shown = present_by_distance(np.array(parted))
    column = ACTION_UNITS.index(25)
    np.testing.assert_array_equal(shown[:, column], [0, 0, 1, 1])
    assert np.isnan(np.delete(shown, column, axis=1)).all()


def test_the_strength_of_an_au_grows_evenly_with_what_moves():
    """Lips that open from 0 to 20 pixels, among faces at rest: 0 as on the middle one of these, 1 on the widest."""
    faces = []
    for step in (0, 5, 10, 15, 20):
        moved = MESH.copy()
        moved[[14, 17, 84, 314, 152]] += (0, step, 0)
        faces.append(moved)
    resting = [MESH + RNG.normal(0, 0.2, MESH.shape) for _ in range(61)]  # all in all, the widest two are a hundredth
    measured = np.array([distances(mesh, np.eye(3)) for mesh in (*faces, *resting)])
    neutral = np.arange(len(measured)) >= len(faces)
    shown = strengths(np.full((len(measured), 52), 0.1), measured, neutral)
    assert shown.shape == (len(measured), len(INTENSITY_UNITS))
    parted = shown[: len(faces), INTENSITY_UNITS.index(25)]
    assert parted[0] == pytest.approx(0, abs=0.02)
    assert parted[-1] == 1
    np.testing.assert_allclose(np.diff(parted[:4]), parted[1] - parted[0], atol=0.03)  # the mesh is noisy
    assert np.median(shown[neutral], axis=0).max() == 0


def test_blendshapes_count_as_they_are_where_strength_is_asked_for():
    """A smile of 0.6 is three times one of 0.2, above a face at rest."""
    shapes = np.zeros((200, len(BLENDSHAPES)))
    shapes[:, [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]] = np.r_[
        [0.2, 0.6], np.full(8, 0.9), np.zeros(190)
    ][:, None]
    shown = strengths(shapes, np.zeros((200, len(DISTANCES))), np.arange(200) >= 10)
    weak, clear = shown[:2, INTENSITY_UNITS.index(12)]
    assert clear / weak == pytest.approx(3)
    assert shown[2, INTENSITY_UNITS.index(12)] == 1


@pytest.mark.parametrize(("unit", "name", "weight"), MEASURES)
def test_each_measurement_speaks_for_its_au_in_the_direction_of_the_table(unit, name, weight):
    blendshapes = RNG.uniform(0.1, 0.4, (FACES, len(BLENDSHAPES)))
    measured = RNG.uniform(0.1, 0.4, (FACES, len(DISTANCES)))
    more_shapes, more_measured = blendshapes.copy(), measured.copy()
    sides = [i for i, shape in enumerate(BLENDSHAPES) if shape in (name, f"{name}Left", f"{name}Right")]
    more_shapes[0, sides] += 0.3
    more_measured[0, [i for i, d in enumerate(DISTANCES) if d.name == name]] += 0.3
    column = ACTION_UNITS.index(unit)
    before = raw_scores(blendshapes, measured)[0, column]
    after = raw_scores(more_shapes, more_measured)[0, column]
    assert np.sign(after - before) == np.sign(weight)


def test_faces_that_are_all_alike_have_no_scores():
    np.testing.assert_array_equal(raw_scores(np.full((5, 52), 0.2), np.full((5, len(DISTANCES)), 0.3)), 0)
