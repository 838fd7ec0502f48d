"""What the skin shows: the same face gives the same cells, and a fold is seen where it is and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aue_crl_core.data import appearance
from aue_crl_core.data.appearance import CELLS, CHANNELS, PARTS, appearance_scores, gradients
from aue_crl_core.faces.pose import SHAPE
from aue_crl_core.facs import ACTION_UNITS, NUM_POINTS

_AT = np.array([160.0, 130.0])
_PX_PER_MM = 1.5


def _place(x: float, y: float) -> tuple[int, int]:
    """The pixel of a place on the average face, in its millimetres."""
    across, down = _AT + _PX_PER_MM * np.array([x, y])
    return round(across), round(down)


def _points() -> np.ndarray:
    points = np.tile(_AT, (NUM_POINTS, 1))
    for i, (x, y, _) in SHAPE.items():
        points[i] = _place(x, y)
    return points


def _face(folds: tuple[tuple[float, float], ...] = (), grain: int = 0) -> np.ndarray:
    """A drawn face with eyes, nose and mouth on a skin with its own grain; `folds`: places of upright dark lines."""
    image = np.full((340, 320, 3), 170, np.uint8)
    for x in (-31, 31):
        cv2.ellipse(image, _place(x, 4), (20, 9), 0, 0, 360, (60, 60, 60), -1)
    cv2.line(image, _place(0, 10), _place(0, 44), (130, 130, 130), 3)
    cv2.ellipse(image, _place(0, 70), (40, 9), 0, 0, 360, (90, 60, 60), -1)
    for x, y in folds:
        cv2.line(image, _place(x, y - 8), _place(x, y + 8), (60, 60, 60), 3)
    return np.clip(image + np.random.default_rng(grain).normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def test_cells_of_a_face():
    seen = gradients(_face(), _points())
    assert seen.shape == (CELLS, CELLS, CHANNELS)
    assert seen.dtype == np.uint8
    assert seen.min() == 0
    assert seen.max() == 255


def test_a_face_without_any_edge_has_cells_of_zeros():
    np.testing.assert_array_equal(gradients(np.full((340, 320, 3), 90, np.uint8), _points()), 0)


@pytest.mark.parametrize(("angle", "scale"), [(0, 1.7), (35, 1.0), (-90, 0.8)])
def test_a_face_that_is_turned_in_the_picture_or_nearer_gives_the_same_cells(angle, scale):
    image, points = _face(), _points()
    turn = cv2.getRotationMatrix2D((160, 170), angle, scale)
    turn[:, 2] += 200
    moved = cv2.warpAffine(image, turn, (760, 760), borderMode=cv2.BORDER_REPLICATE)
    there = gradients(moved, points @ turn[:, :2].T + turn[:, 2])
    here = gradients(image, points)
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.9


def test_a_fold_between_the_brows_is_in_the_cells_of_the_brows_and_not_in_those_of_the_chin():
    plain, folded = gradients(_face(), _points()), gradients(_face(((-5, -14), (5, -14))), _points())
    change = np.abs(folded.astype(int) - plain)
    assert change[PARTS[4]].mean() > 20 * change[PARTS[17]].mean()


def test_the_skin_says_what_its_part_bears_out():
    """Half of the faces with AU 4 by the other measurements have a fold between the brows, all with AU 17 one on the
    chin: the score of AU 4 follows the first, whatever the chin shows."""
    faces, shares, brows, chins = [], np.full((120, 17), 0.1), [], []
    for n in range(len(shares)):
        brow, chin = n % 4 == 0, n % 3 == 0
        faces.append(gradients(_face(((0, -14),) * brow + ((0, 96),) * chin, grain=n), _points()))
        shares[n, ACTION_UNITS.index(4)] = 0.9 if brow or n % 4 == 2 else 0.1
        shares[n, ACTION_UNITS.index(17)] = 0.9 if chin else 0.1
        brows.append(brow)
        chins.append(chin)
    scores = appearance_scores(faces, shares)
    assert set(scores) == set(PARTS)
    fold, chin = np.array(brows), np.array(chins)
    assert scores[4][fold].min() > scores[4][~fold].mean() + scores[4][~fold].std()
    assert abs(scores[4][chin].mean() - scores[4][~chin].mean()) < 0.3 * scores[4].std()
    assert scores[17][chin].min() > scores[17][~chin].max()


def test_many_faces_are_read_in_parts_and_say_the_same(monkeypatch):
    faces = [gradients(_face(((0, -14),) * (n % 2), grain=n), _points()) for n in range(30)]
    shares = np.random.default_rng(0).random((30, 17))
    whole = appearance_scores(faces, shares)
    monkeypatch.setattr(appearance, "_AT_ONCE", 7)
    for unit, score in appearance_scores(faces, shares).items():
        np.testing.assert_allclose(score, whole[unit], atol=1e-4)


def test_all_faces_alike_say_nothing():
    scores = appearance_scores([gradients(_face(), _points())] * 8, np.full((8, 17), 0.5))
    assert all(np.allclose(score, 0) for score in scores.values())
