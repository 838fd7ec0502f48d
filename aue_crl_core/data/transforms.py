"""Augmentation: a random crop map around the canonical one, then what cameras and old photographs do to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aue_crl_core.config import require
from aue_crl_core.faces.crop import Affine
from aue_crl_core.facs import MIRRORED_POINTS
from aue_crl_core.types import Image, Points


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; all zero is none at all.

    `rotation_deg`, `shift` (of the crop's side) and `scale` (relative) are largest absolute values; `flip`, `grey`,
    `soften`, `light` and `erase` are probabilities.
    """

    rotation_deg: float = 12.0
    shift: float = 0.06
    scale: float = 0.12
    flip: float = 0.5
    grey: float = 0.25
    soften: float = 0.25
    light: float = 0.7
    erase: float = 0.3

    def __post_init__(self) -> None:
        for name in ("flip", "grey", "soften", "light", "erase"):
            require(0 <= getattr(self, name) <= 1, name, "be a probability in [0, 1]", getattr(self, name))
        require(0 <= self.rotation_deg <= 180, "rotation_deg", "be in [0, 180]", self.rotation_deg)
        require(0 <= self.shift <= 0.5, "shift", "be in [0, 0.5]", self.shift)
        require(0 <= self.scale < 1, "scale", "be in [0, 1)", self.scale)


def jittered(to_image: Affine, size: int, augmentation: Augmentation, rng: np.random.Generator) -> Affine:
    """`to_image` after a random rotation, scale and shift of the crop about its own centre."""
    angle = np.deg2rad(rng.uniform(-1, 1) * augmentation.rotation_deg)
    scale = 1 + rng.uniform(-1, 1) * augmentation.scale
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (size - 1) / 2)
    shift = rng.uniform(-1, 1, 2) * augmentation.shift * size + middle - turn @ middle
    return np.column_stack([to_image[:, :2] @ turn, to_image[:, :2] @ shift + to_image[:, 2]])


def mirrored(image: Image, points: Points) -> tuple[Image, Points]:
    """Horizontal flip; left and right points trade places, so that point i keeps its meaning."""
    flipped = points[list(MIRRORED_POINTS)].copy()
    flipped[:, 0] = image.shape[1] - 1 - flipped[:, 0]
    return np.ascontiguousarray(image[:, ::-1]), flipped


def degrade(image: Image, augmentation: Augmentation, rng: np.random.Generator) -> Image:
    """Grey, soft or small, differently lit, partly hidden: each with its own probability. SxSx3 uint8 RGB."""
    size = image.shape[0]
    if rng.random() < augmentation.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < augmentation.soften:
        if rng.random() < 0.5:
            small = int(size * rng.uniform(0.3, 0.8))
            shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
            image = cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)
        else:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < augmentation.light:
        gamma, gain, shift = np.exp(rng.normal(0, 0.25)), rng.uniform(0.75, 1.25), rng.uniform(-20, 20)
        levels = 255 * (np.arange(256) / 255) ** gamma
        tables = levels[:, None] * gain * rng.uniform(0.93, 1.07, 3) + shift
        image = cv2.LUT(image, np.clip(tables, 0, 255).astype(np.uint8)[None])
    if rng.random() < augmentation.erase:
        image = image.copy()
        height, width = (int(size * rng.uniform(0.12, 0.4)) for _ in range(2))
        top, left = int(rng.uniform(0, size - height)), int(rng.uniform(0, size - width))
        image[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return image
