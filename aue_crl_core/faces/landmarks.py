"""From a rough box, or last frame's points, to the face's points - or to the verdict that it is no face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aue_crl_core.config import Preprocessing
from aue_crl_core.engines.base import Engine
from aue_crl_core.faces.crop import Affine, apply, cut, map_from_box, map_from_points
from aue_crl_core.types import FaceBox, Image, Points

_LEAST: Final = 1e-6
"""A probability of the landmark net is never taken for nearer to 0 or 1."""


@dataclass(frozen=True, slots=True)
class LocatedFace:
    """A face in an image: 68x2 `points` in image pixels; the `score`, in [0, 1], that it is one; how much of that, in
    log odds, is the `support` of a detector, the rest being the landmark net's; whether it is `confirmed`: found by a
    detector in this very image, not only followed from an earlier one."""

    points: Points
    score: float
    support: float = 0.0
    confirmed: bool = True

    @property
    def box(self) -> FaceBox:
        """The smallest upright box around the points, with the score."""
        return FaceBox.around(self.points, self.score)

    def moved(self, right: int, down: int) -> LocatedFace:
        """The same face in an image that begins so many pixels further left and further up."""
        return replace(self, points=self.points + np.array((right, down), np.float32)) if right or down else self


@dataclass(frozen=True, slots=True)
class Seed:
    """Where to look for a face: in `image` (HxWx3 uint8 RGB), around a box or around earlier points; and how much, in
    log odds, speaks for a face there before the landmark net looks."""

    image: Image
    around: FaceBox | Points
    support: float = 0.0

    @classmethod
    def of_box(cls, image: Image, box: FaceBox) -> Seed:
        """A detector's box, with its support."""
        return cls(image, box, box.support)


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
            LocatedFace(
                apply(m, p).astype(np.float32),
                _supported(float(s), seed.support),
                seed.support,
                confirmed=isinstance(seed.around, FaceBox),
            )
            for m, p, s, seed in zip(maps, points, scores, seeds, strict=True)
        ]
        around = [face.points for face in located]
    return located


def _supported(score: float, support: float) -> float:
    """A probability after evidence of so many log odds."""
    if support == 0:
        return score
    odds = max(score, _LEAST) / max(1 - score, _LEAST) * math.exp(support)
    return odds / (1 + odds)


def _map(around: FaceBox | Points, preprocessing: Preprocessing) -> Affine:
    if isinstance(around, FaceBox):
        return map_from_box(around, preprocessing.input_size)
    return map_from_points(around, preprocessing)


def without_doubles(faces: Sequence[LocatedFace], max_iou: float = 0.3, max_overlap: float = 0.7) -> list[LocatedFace]:
    """The faces, largest score first, less those that lie on or in a better one (several seeds found the same face);
    what confirms one of them confirms the one that is kept."""
    kept: list[tuple[LocatedFace, FaceBox]] = []
    for face in sorted(faces, key=lambda f: -f.score):
        box = face.box
        on = [i for i, (_, other) in enumerate(kept) if box.iou(other) > max_iou or box.overlap(other) > max_overlap]
        if not on:
            kept.append((face, box))
        elif face.confirmed:
            better, other = kept[on[0]]
            kept[on[0]] = replace(better, confirmed=True), other
    return [face for face, _ in kept]
