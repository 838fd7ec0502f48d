"""Faces as a tracker takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aue_crl_core.types import FaceBox, Points


@dataclass(frozen=True)
class Face:
    box: FaceBox
    points: Points
    confirmed: bool = True


def face(x: float, y: float = 0.0, side: float = 100.0, confirmed: bool = True) -> Face:
    grid = np.linspace(0.0, side, 68, dtype=np.float32)
    return Face(FaceBox(x, y, side, side), np.stack([x + grid, y + grid], axis=1), confirmed)


def boxed(x: float, y: float, w: float, h: float, confirmed: bool = True) -> Face:
    return Face(FaceBox(x, y, w, h), np.zeros((68, 2), np.float32), confirmed)
