"""From a rough box, or last frame's points, to the face's points - or to the verdict that it is no face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aue_crl_core.config import Preprocessing
from aue_crl_core.engines.base import Engine
from aue_crl_core.faces.crop import Affine, apply, cut, map_from_box, map_from_points
from aue_crl_core.types import FaceBox, Image, Points


@dataclass(frozen=True, slots=True)
class LocatedFace:
    """A face in an image: 68x2 `points` in image pixels, the `score` of the landmark net in [0, 1]."""

    points: Points
    score: float

    @property
    def box(self) -> FaceBox:
        """The smallest upright box around the points, with the score."""
        return FaceBox.around(self.points, self.score)


@dataclass(frozen=True, slots=True)
class Seed:
    """Where to look for a face: in `image` (HxWx3 uint8 RGB), around a box or around earlier points."""

    image: Image
    around: FaceBox | Points


def locate(engine: Engine, preprocessing: Preprocessing, seeds: Sequence[Seed], passes: int = 1) -> list[LocatedFace]:
    """Points and score for every seed, all seeds in one batch per pass.

    Each further pass looks again around the points of the one before: worth it for a detector's boxes, which are
    rough; last frame's points need one.
    """
    around: list[FaceBox | Points] = [seed.around for seed in seeds]
    located: list[LocatedFace] = []
    for _ in range(passes if seeds else 0):
        maps = [_map(a, preprocessing) for a in around]
        size = preprocessing.input_size
        crops = np.stack([cut(seed.image, m, size) for seed, m in zip(seeds, maps, strict=True)])
        points, scores = engine.landmarks(crops)
        located = [
            LocatedFace(apply(m, p).astype(np.float32), float(s)) for m, p, s in zip(maps, points, scores, strict=True)
        ]
        around = [face.points for face in located]
    return located


def _map(around: FaceBox | Points, preprocessing: Preprocessing) -> Affine:
    if isinstance(around, FaceBox):
        return map_from_box(around, preprocessing.input_size)
    return map_from_points(around, preprocessing)


def without_doubles(faces: Sequence[LocatedFace], max_iou: float = 0.4, max_overlap: float = 0.7) -> list[LocatedFace]:
    """The faces, largest score first, less those that lie on or in a better one (several seeds found the same face)."""
    kept: list[tuple[LocatedFace, FaceBox]] = []
    for face in sorted(faces, key=lambda f: -f.score):
        box = face.box
        if all(box.iou(other) <= max_iou and box.overlap(other) <= max_overlap for _, other in kept):
            kept.append((face, box))
    return [face for face, _ in kept]
