"""Augmentation: a random crop map around the canonical one, then what cameras and old photographs do to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import require
from aue_crl_core.faces.crop import Affine, mirrored_points
from aue_crl_core.types import Image, Points


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; all zero is none at all.

    `rotation_deg`, `shift` (of the crop's side) and `scale` (relative) are largest absolute values; `flip`, `grey`,
    `soften`, `light`, `dim`, `erase`, `cover` and `mask` are probabilities; half of what is softened is what a small
    face is: of `smallest` of the crop's side and more.
    """

    rotation_deg: float = 12.0
    shift: float = 0.06
    scale: float = 0.12
    flip: float = 0.5
    grey: float = 0.25
    soften: float = 0.25
    light: float = 0.7
    erase: float = 0.3
    dim: float = 0.0
    cover: float = 0.0
    mask: float = 0.0
    smallest: float = 0.3

    def __post_init__(self) -> None:
        for name in ("flip", "grey", "soften", "light", "dim", "erase", "cover", "mask"):
            require(0 <= getattr(self, name) <= 1, name, "be a probability in [0, 1]", getattr(self, name))
        require(0 <= self.rotation_deg <= 180, "rotation_deg", "be in [0, 180]", self.rotation_deg)
        require(0 <= self.shift <= 0.5, "shift", "be in [0, 0.5]", self.shift)
        require(0 <= self.scale < 1, "scale", "be in [0, 1)", self.scale)
        require(0 < self.smallest <= 0.8, "smallest", "be in (0, 0.8]", self.smallest)


def jittered(to_image: Affine, size: int, augmentation: Augmentation, rng: np.random.Generator) -> Affine:
    """`to_image` after a random rotation, scale and shift of the crop about its own centre."""
    angle = np.deg2rad(rng.uniform(-1, 1) * augmentation.rotation_deg)
    scale = 1 + rng.uniform(-1, 1) * augmentation.scale
    return moved(to_image, size, angle, scale, rng.uniform(-1, 1, 2) * augmentation.shift)


def moved(to_image: Affine, size: int, angle: float, scale: float, shift: NDArray[np.float64]) -> Affine:
    """`to_image` after the crop was turned (radians) and scaled about its centre, then shifted by (x, y) in sides."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (size - 1) / 2)
    offset = shift * size + middle - turn @ middle
    return np.column_stack([to_image[:, :2] @ turn, to_image[:, :2] @ offset + to_image[:, 2]])


def mirrored(image: Image, points: Points) -> tuple[Image, Points]:
    """Horizontal flip of an image and its points (see `mirrored_points`)."""
    return np.ascontiguousarray(image[:, ::-1]), mirrored_points(points, image.shape[1])


def masked(image: Image, points: Points, rng: np.random.Generator) -> Image:
    """The face wears a mask from jaw to nose: cloth of one colour, shaded and folded, now and then below the nose.

    `image` SxSx3 uint8 RGB, `points` 68x2 in its pixels.
    """
    top = points[rng.choice((28, 29, 29, 33))]
    first, last = rng.integers(1, 4), rng.integers(13, 16)
    jaw = points[first : last + 1]
    outward = jaw - points[30]
    outline = np.vstack([points[30] + outward * rng.uniform(0.95, 1.12), top[None]])
    shape = np.zeros(image.shape[:2], dtype=np.uint8)
    cv2.fillPoly(shape, [np.round(outline).astype(np.int32)], 255)
    soft = cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.4, 1.2))[:, :, None] / 255.0
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] / image.shape[0]
    folds = 1 + rng.uniform(0, 0.12) * np.sin(2 * np.pi * (rows * rng.uniform(3, 12) + columns * rng.uniform(-2, 2)))
    shade = folds * (1 + rng.uniform(-0.4, 0.4) * (columns - 0.5) + rng.uniform(-0.4, 0.4) * (rows - 0.5))
    colour = rng.uniform(150, 255, 3) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    cloth = colour * shade[:, :, None] + rng.normal(0, 3, image.shape)
    return np.clip(image * (1 - soft) + cloth * soft, 0, 255).astype(np.uint8)


def degrade(image: Image, augmentation: Augmentation, rng: np.random.Generator) -> Image:
    """Grey, soft or small, differently lit, dark, partly hidden: each with its own probability. SxSx3 uint8 RGB."""
    size = image.shape[0]
    if rng.random() < augmentation.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < augmentation.soften:
        if rng.random() < 0.5:
            small = int(size * rng.uniform(augmentation.smallest, 0.8))
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
    if augmentation.cover and rng.random() < augmentation.cover:
        image = _covered(image, rng)
    if augmentation.dim and rng.random() < augmentation.dim:
        image = _dimmed(image, rng)
    return image


def _covered(image: Image, rng: np.random.Generator) -> Image:
    """A mask, a hand, a door frame: all of one side of the picture is of one colour, with soft shading."""
    size = image.shape[0]
    depth = int(size * rng.uniform(0.25, 0.5))
    shade = np.linspace(rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.0), size)[:, None, None]
    cloth = np.clip(shade * rng.integers(0, 256, 3) + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    turns = rng.choice(4, p=(0.5, 0.2, 0.1, 0.2))  # from below, the right, above, the left
    turned, cloth = np.rot90(image, -turns).copy(), np.rot90(cloth, -turns)
    turned[size - depth :] = cloth[size - depth :]
    return np.ascontiguousarray(np.rot90(turned, turns))


def _dimmed(image: Image, rng: np.random.Generator) -> Image:
    """A dark room: little light, and the sensor's noise."""
    dark = image * np.exp(rng.uniform(np.log(0.08), np.log(0.5)))
    noise = rng.normal(0, 1, image.shape) * np.sqrt(rng.uniform(0.5, 3) ** 2 + 0.3 * dark)
    return np.clip(dark + noise, 0, 255).astype(np.uint8)
