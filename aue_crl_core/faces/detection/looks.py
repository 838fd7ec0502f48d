"""Looking at the turned image, for heads that are tilted further than a detector knows: on a sofa, in a bed; and at
the image made small, which takes a quarter of the time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from aue_crl_core.faces.crop import Affine, apply
from aue_crl_core.faces.detection.working import FaceDetector, check_image, resized
from aue_crl_core.types import FaceBox, Image

TURNS: Final = tuple(math.radians(degrees) for degrees in (40, -40, 80, -80, 120, -120, 160, -160))
"""Rolls (radians) whose looks, with the upright one, find a head at any angle, the likelier ones first."""

WORK_PX: Final = 480
SMALL_PX: Final = 320
_SUPPORT: Final = -math.log(len(TURNS))
"""In so many looks a detector is wrong that many times as often: the landmark net decides alone, and must be surer."""


def look_small(detector: FaceDetector, image: Image) -> list[FaceBox]:
    """What the detector finds in the image with a long side of at most 320 px; boxes in the pixels of `image`.

    `image` HxWx3 uint8 RGB.

    Raises:
        ImageError: see `FaceDetector`.
    """
    check_image(image)
    small = resized(image, min(1.0, SMALL_PX / max(image.shape[:2])))
    x, y = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
    return [replace(box, x=box.x * x, y=box.y * y, w=box.w * x, h=box.h * y) for box in detector(small)]


def look_turned(detector: FaceDetector, image: Image, turn: float, long_px: int = WORK_PX) -> list[FaceBox]:
    """What the detector finds in the image turned by `-turn` radians, so that a face of that roll stands upright.

    `image` HxWx3 uint8 RGB, looked at with a long side of at most `long_px`. Boxes are in its own pixels: squares
    around the same middle as the face found, with its roll.

    Raises:
        ImageError: see `FaceDetector`.
    """
    small = resized(image, min(1.0, long_px / max(image.shape[:2])))
    step = max(image.shape[:2]) / max(small.shape[:2])
    to_small, size = _turned(small.shape[1], small.shape[0], turn)
    turned = cv2.warpAffine(small, to_small, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    boxes = []
    for box in detector(turned):
        x, y = step * apply(to_small, np.array([[box.x + box.w / 2, box.y + box.h / 2]]))[0]
        side = step * max(box.w, box.h)
        roll = math.remainder(box.roll + turn, 2 * math.pi)
        boxes.append(replace(box, x=x - side / 2, y=y - side / 2, w=side, h=side, roll=roll, support=_SUPPORT))
    return boxes


def _turned(width: int, height: int, turn: float) -> tuple[Affine, tuple[int, int]]:
    """From the pixels of a turned picture to those of the upright one, all of which is on it; its width and height."""
    cosine, sine = math.cos(turn), math.sin(turn)
    columns, rows = (
        math.ceil(width * abs(along) + height * abs(across) - 1e-6)
        for along, across in ((cosine, sine), (sine, cosine))
    )
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    shift = np.array([(width - 1) / 2, (height - 1) / 2]) - rotation @ ((columns - 1) / 2, (rows - 1) / 2)
    return np.column_stack([rotation, shift]), (columns, rows)
