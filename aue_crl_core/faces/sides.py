"""One-sided action units: what the network says of a face that is made of one half and that half's mirror image.

Such chimeric faces are how psychology asks which side of a face acts (Sackeim, Gur & Saucy, Science 202, 1978). They
need no labels of sides and no other network. `left` and `right` are the person's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core import facs
from aue_crl_core.engines.base import Engine
from aue_crl_core.faces.crop import mirrored_points
from aue_crl_core.types import Image, Points

Side = Literal["left", "right"]
Sides = dict[Side, dict[int, float]]
"""Side -> FACS code -> probability in [0, 1]."""

MAX_YAW: Final = math.radians(15)
"""A half that is seen from the side makes no face."""

_MIDLINE: Final = (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)


def half_face(crop: Image, points: Points, side: Side) -> tuple[Image, Points]:
    """One half of an upright face and its mirror image, with the points of that face.

    `crop` SxSx3 uint8, `points` 68x2 in its pixels; the line between the halves is upright, through the mean of the
    points in the middle of the face.
    """
    size = crop.shape[1]
    line = float(points[list(_MIDLINE), 0].mean())
    columns = np.arange(size, dtype=np.float32)
    own = columns >= line if side == "left" else columns <= line  # a face's left is the picture's right
    sources = np.where(own, columns, 2 * line - columns).astype(np.float32)
    rows = np.repeat(np.arange(crop.shape[0], dtype=np.float32)[:, None], size, axis=1)
    face = cv2.remap(crop, np.tile(sources, (len(rows), 1)), rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = points - np.float32([line, 0])
    mirrored = mirrored_points(seen, 1)
    other = list(facs.RIGHT_POINTS if side == "left" else facs.LEFT_POINTS)
    seen[other] = mirrored[other]
    seen[list(facs.MIDDLE_POINTS), 0] = 0
    return face, seen + np.float32([line, 0])


def sided_units(
    engine: Engine, crops: Sequence[Image], points: NDArray[np.float32], yaws: Sequence[float]
) -> list[Sides]:
    """The one-sided AUs of N faces, `facs.SIDED_UNITS` of each side, in one batch; {} where one is turned too far.

    `crops` SxSx3 uint8 RGB as the network sees them, `points` Nx68x2 in their pixels, `yaws` radians.
    """
    frontal = [i for i, yaw in enumerate(yaws) if abs(yaw) <= MAX_YAW]
    known = [unit for unit in facs.SIDED_UNITS if unit in engine.config.action_units]
    found: list[Sides] = [{} for _ in crops]
    if not frontal or not known:
        return found
    halves = [half_face(crops[i], points[i], side) for side in facs.SIDES for i in frontal]
    images, places = zip(*halves, strict=True)
    said = engine.predict(np.stack(images), np.stack(places).astype(np.float32)).action_units
    columns = [facs.ACTION_UNITS.index(unit) for unit in known]
    for i, left, right in zip(frontal, *np.split(said[:, columns], 2), strict=True):
        found[i] = {
            "left": dict(zip(known, left.tolist(), strict=True)),
            "right": dict(zip(known, right.tolist(), strict=True)),
        }
    return found
