"""Which measurements of a face mesh speak for which action unit, and how to read them as one score per AU.

Sources: Ekman, Friesen & Hager, *FACS* (2002), for what each AU does to the face; the names are those of `BLENDSHAPES`
(ARKit's, without a side: the mean of both) and `DISTANCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.data.face_mesh import BLENDSHAPES, DISTANCES
from aue_crl_core.facs import ACTION_UNITS

Sight = Literal["seen", "partly", "wrinkles"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for an AU.

    `measures`: (name, weight) of measurements in units of their spread over faces; a negative weight speaks against.
    `sight`: whether geometry shows the AU (`seen`), shows what goes along with it (`partly`), or hardly shows it,
    because FACS knows it by wrinkles and bulges (`wrinkles`: the expression's prior has to say most of it).
    `sign`: the appearance change that the measurements stand for.
    `present_from`: (name, value) of a distance that shows the AU on any face from there on, whatever the face's shape.
    """

    measures: tuple[tuple[str, float], ...]
    sight: Sight
    sign: str
    present_from: tuple[str, float] | None = None


EVIDENCE: Final[dict[int, Evidence]] = {
    1: Evidence(
        (("browInnerUp", 2), ("inner brow above the eye corners", 1)),
        "seen",
        "pulls the inner corners of the brows upwards",
    ),
    2: Evidence(
        (("browOuterUp", 2), ("outer brow above the eye corners", 1)), "seen", "pulls the outer part of the brows up"
    ),
    4: Evidence(
        (("browDown", 2), ("inner brow above the eye corners", -1), ("between the brows", -0.5)),
        "seen",
        "lowers the brows and pulls them together",
    ),
    5: Evidence(
        (("eyeWide", 2), ("upper lid above the corners", 1)), "seen", "widens the eye opening, raises the upper lid"
    ),
    6: Evidence(
        (
            ("lower lid below the corners", -1),
            ("cheek below the lower lid", -1),
            ("mouthSmile", 1),
            ("eyeSquint", 0.5),
        ),
        "partly",
        "raises the cheeks towards the eyes; the mesh's cheekSquint hardly ever moves, so lid and cheek stand for it",
    ),
    7: Evidence(
        (("eyeSquint", 2), ("eye opening", -1)), "seen", "tightens the lids and narrows the eye opening from below"
    ),
    9: Evidence(
        (("noseSneer", 1), ("nose wing below the eye corner", -1), ("browDown", 1)),
        "wrinkles",
        "wrinkles the nose's root, pulls the wings up and the inner brows down",
    ),
    10: Evidence(
        (("mouthUpperUp", 1.5), ("upper lip below the nose", -1), ("mouthSmile", -1)),
        "partly",
        "draws the upper lip straight up; a smile (12) lifts it as well",
    ),
    12: Evidence(
        (("mouthSmile", 2), ("mouth's width", 0.5), ("lip corners below the nose", -0.5)),
        "seen",
        "pulls the lip corners back and up",
    ),
    15: Evidence(
        (("mouthFrown", 2), ("lip corners below the lips' middle", 0.5), ("lips apart", -0.5), ("mouthSmile", -0.5)),
        "seen",
        "pulls the lip corners down; below the upper lip's middle they are in an open mouth as well",
    ),
    16: Evidence(
        (("mouthLowerDown", 2), ("lower lip's thickness", 0.5), ("mouthSmile", -0.5), ("jawOpen", -0.5)),
        "partly",
        "pulls the lower lip down; smiles (12) and a dropped jaw (26) bare the lower teeth as well",
    ),
    17: Evidence(
        (("mouthShrugLower", 2), ("chin below the lower lip", -0.5)), "seen", "pushes the chin boss and lower lip up"
    ),
    20: Evidence(
        (("mouthStretch", 2), ("mouth's width", 0.5), ("mouthSmile", -1.25)),
        "seen",
        "stretches the mouth sideways; a smile (12) widens it as well, and pulls its corners up",
    ),
    23: Evidence(
        (
            ("mouthRollLower", 0.5),
            ("mouthRollUpper", 0.5),
            ("mouthPress", 0.5),
            ("upper lip's thickness", -1),
            ("lower lip's thickness", -1),
        ),
        "wrinkles",
        "tightens the lips and makes their red parts narrow",
    ),
    24: Evidence((("mouthPress", 2), ("lips apart", -1)), "wrinkles", "presses the lips together"),
    25: Evidence(
        (("lips apart", 2), ("lower lip below the nose", 0.5)),
        "seen",
        "parts the lips",
        present_from=("lips apart", 0.05),
    ),
    26: Evidence((("jawOpen", 2), ("chin below the nose", 1)), "seen", "drops the jaw"),
}
"""AU -> its evidence."""

INTENSITY_UNITS: Final = tuple(unit for unit in ACTION_UNITS if EVIDENCE[unit].sight == "seen")
"""AUs of which a face mesh tells how strong they are."""

_STRONGEST: Final = 0.01
_FAINT: Final = 0.01
"""Blendshapes are taken as log(value + this): most lie near 0, where their steps matter."""

_NAMES: Final = tuple(measure.name for measure in DISTANCES)


def raw_scores(blendshapes: NDArray[np.floating], distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """How strongly the measurements of N faces (Nx52 and Nx22, as in an index) speak for each AU: float64 Nx17.

    Each score has mean 0 and deviation 1 over these faces, which must be of one dataset: how far a measurement goes
    depends on how sharp its pictures are.
    """
    return _scores(ACTION_UNITS, blendshapes, distances, measurement)


def present_by_distance(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Which AUs N faces show (1) or not (0) by a distance that tells by itself (`Evidence.present_from`), float64 Nx17;
    NaN for the other AUs. `distances` Nx22, in distances of the outer eye corners."""
    shown = np.full((len(distances), len(ACTION_UNITS)), np.nan)
    for i, unit in enumerate(ACTION_UNITS):
        threshold = EVIDENCE[unit].present_from
        if threshold is not None:
            name, least = threshold
            shown[:, i] = distances[:, _NAMES.index(name)] >= least
    return shown


def strengths(
    blendshapes: NDArray[np.floating], distances: NDArray[np.floating], neutral: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """How strong each of `INTENSITY_UNITS` is on N faces of one dataset (see `raw_scores`), float32 Nx11 in [0, 1].

    0 as on the middle one of the `neutral` faces (bool N, one at least) and below, 1 as on the strongest hundredth of
    all faces and beyond, linear between them in distances and blendshapes themselves (whose logarithms, as in
    `raw_scores`, tell best whether an AU is there, but hardly a large one from the largest).
    """
    scores = _scores(INTENSITY_UNITS, blendshapes, distances, _plain_measurement)
    rest, most = np.median(scores[neutral], axis=0), np.quantile(scores, 1 - _STRONGEST, axis=0)
    return np.clip((scores - rest) / np.maximum(most - rest, 1e-9), 0, 1).astype(np.float32)


def measurement(name: str, blendshapes: NDArray[np.floating], distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """One measurement of N faces, float64 N: a distance, or the log of a blendshape (mean of both sides)."""
    values = _plain_measurement(name, blendshapes, distances)
    return values if name in _NAMES else np.log(values + _FAINT)


def _plain_measurement(
    name: str, blendshapes: NDArray[np.floating], distances: NDArray[np.floating]
) -> NDArray[np.float64]:
    if name in _NAMES:
        return np.asarray(distances[:, _NAMES.index(name)], dtype=np.float64)
    sides = [i for i, shape in enumerate(BLENDSHAPES) if shape in (name, f"{name}Left", f"{name}Right")]
    return np.asarray(blendshapes[:, sides], dtype=np.float64).mean(axis=1)


def _scores(
    units: Sequence[int],
    blendshapes: NDArray[np.floating],
    distances: NDArray[np.floating],
    measure: Callable[[str, NDArray[np.floating], NDArray[np.floating]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    columns = []
    for unit in units:
        total = np.zeros(len(blendshapes))
        for name, weight in EVIDENCE[unit].measures:
            total += weight * standard(measure(name, blendshapes, distances))
        columns.append(standard(total))
    return np.stack(columns, axis=1)


def standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with mean 0 and deviation 1."""
    return (values - values.mean()) / max(float(values.std()), 1e-9)
