"""How a head is turned, and what of its face that shows: rough values from the 68 points alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core import facs
from aue_crl_core.types import Points

SHAPE: Final = {
    0: (-68.0, -6.0, 68.0),
    4: (-55.0, 79.0, 59.0),
    8: (0.0, 113.0, 13.0),
    12: (55.0, 79.0, 59.0),
    16: (68.0, -6.0, 68.0),
    27: (0.0, 0.0, 0.0),
    28: (0.0, 15.0, -13.0),
    29: (0.0, 28.0, -25.0),
    30: (0.0, 37.0, -31.0),
    31: (-14.0, 45.0, -9.0),
    33: (0.0, 49.0, -15.0),
    35: (14.0, 45.0, -9.0),
    36: (-45.0, 4.0, 26.0),
    39: (-17.0, 5.0, 16.0),
    42: (17.0, 5.0, 16.0),
    45: (45.0, 4.0, 26.0),
    48: (-27.0, 70.0, 14.0),
    54: (27.0, 70.0, 14.0),
}
"""Point -> its place on an average face that looks into the camera: x right, y down, z away, in millimetres where the
outer eye corners are 90 mm apart. From the shipped landmark net's points on photographs and the poses that mediapipe
sees in them, made symmetrical (`research/head_shape.py`)."""

_INDICES: Final = tuple(SHAPE)
_CENTRED: Final = np.array(tuple(SHAPE.values())) - np.mean(tuple(SHAPE.values()), axis=0)
_FIT: Final = np.linalg.pinv(_CENTRED)
_FLATTEST: Final = 1e-3

_HIDES_A_SIDE: Final = math.radians(35)
_REGIONS: Final = tuple(centre for unit in facs.ACTION_UNITS for centre in facs.REGION_CENTRES[unit])
_CENTRES: Final = np.array([[(i in c) / len(c) for i in range(facs.NUM_POINTS)] for c in _REGIONS])
_ON_LEFT: Final = np.array([facs.LEFT_POINTS.issuperset(centre) for centre in _REGIONS])
_ON_RIGHT: Final = np.array([facs.RIGHT_POINTS.issuperset(centre) for centre in _REGIONS])

_OF_EYES: Final = np.array([{*facs.RIGHT_EYE, *facs.LEFT_EYE}.issuperset(centre) for centre in _REGIONS])
_OF_MOUTH: Final = np.array([set(facs.MOUTH).issuperset(centre) for centre in _REGIONS])


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Radians, relative to the line of sight to the face: `yaw` > 0 turned to its own left, in [-pi/2, pi/2]; `pitch`
    > 0 raised; `roll` > 0 tilted to its own right shoulder. Turning the image in its plane changes `roll` only. All are
    NaN where the points lie on a line or are not finite.
    """

    yaw: float
    pitch: float
    roll: float


def head_pose(points: Points) -> HeadPose:
    """The pose behind 68x2 face points (pixels of any image or crop that is not mirrored or sheared).

    `SHAPE` is fitted to the points by scaled orthography (least squares, then the nearest rotation), which needs no
    camera matrix.
    """
    fitted = _fitted(points)
    if fitted is None:
        return HeadPose(math.nan, math.nan, math.nan)
    (across, down, away), _ = fitted
    # Rz(-roll) Ry(-yaw) Rx(-pitch), rows across, down, away
    yaw = math.asin(min(1.0, max(-1.0, away[0])))
    return HeadPose(yaw, -math.atan2(away[1], away[2]), -math.atan2(down[0], across[0]))


def depths(points: Points) -> NDArray[np.float64] | None:
    """How far the points of `SHAPE` lie behind their middle, in pixels and in its order, as `head_pose` fits them to
    68x2 points; None where there is no pose."""
    fitted = _fitted(points)
    if fitted is None:
        return None
    (_, _, away), scale = fitted
    return scale * (_CENTRED @ away)


def _fitted(points: Points) -> tuple[NDArray[np.float64], float] | None:
    """The axes of the image (rows across, down, away) in those of `SHAPE`, and pixels per millimetre."""
    seen = np.asarray(points, dtype=np.float64)[list(_INDICES)]
    if not np.isfinite(seen).all():
        return None
    u, sizes, vt = np.linalg.svd((_FIT @ (seen - seen.mean(axis=0))).T, full_matrices=False)
    if sizes[1] <= _FLATTEST * sizes[0]:
        return None
    across, down = u @ vt
    return np.stack([across, down, np.cross(across, down)]), float(sizes.mean())


def visible_units(
    points: Points, yaw: float, width: int, height: int, *, eyes: bool = True, mouth: bool = True
) -> frozenset[int]:
    """FACS codes of the action units that can be seen in an image of `width` x `height` pixels; whether `eyes` and
    `mouth` can be seen, or are covered.

    An action unit has two regions (`facs.REGION_CENTRES`), of which one is enough: its centre must lie inside the image
    and, where the head is turned by more than 35 degrees (`yaw` in radians), not on the side that turns away (points of
    the face's middle never do). Regions of the eyes' or of the mouth's own points are hidden with them.
    """
    x, y = (_CENTRES @ np.asarray(points, dtype=np.float64)).T
    shown = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    if abs(yaw) > _HIDES_A_SIDE:
        shown &= ~(_ON_LEFT if yaw > 0 else _ON_RIGHT)
    if not eyes:
        shown &= ~_OF_EYES
    if not mouth:
        shown &= ~_OF_MOUTH
    return frozenset(
        unit for unit, seen in zip(facs.ACTION_UNITS, shown.reshape(-1, 2).any(axis=1), strict=True) if seen
    )
