"""What all detectors share: which images they take, at what size they work, in which order boxes come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import cv2
import numpy as np

from aue_crl_core.errors import ImageError
from aue_crl_core.types import FaceBox, Image

DEFAULT_MIN_FACE_PX: Final = 24.0
THUMBNAIL_PX: Final = 128
_THUMBNAIL_FACE: Final = 0.3


class FaceDetector(Protocol):
    """Finds faces in one image. An instance keeps scratch state: use one per thread."""

    name: str
    at_any_roll: RollDetector | None
    """Another that finds heads at any roll, asked where this one finds none (see `search`); None: nobody is asked."""

    def __call__(self, image: Image) -> list[FaceBox]:
        """Boxes in image pixels, surest and largest first (score times area); a box may leave the image a little.

        `image` HxWx3 uint8 RGB.

        Raises:
            ImageError: the image is of another shape or type, or empty.
        """
        ...


class RollDetector(FaceDetector, Protocol):
    """One that finds heads at any roll, thoroughly when called, or at a glance."""

    def glance(self, image: Image) -> list[FaceBox]:
        """As `__call__`, in the image made small."""
        ...


def check_image(image: Image) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"image must be an HxWx3 uint8 RGB array, got {got}; convert it first")
    if image.size == 0:
        raise ImageError(f"image must have at least one pixel, got shape {image.shape}")


def smallest_face(image: Image, min_face_px: float) -> float:
    """Side in pixels: `min_face_px`, but in thumbnails no more than a part of their short side."""
    short = min(image.shape[:2])
    return min_face_px if short >= THUMBNAIL_PX else min(min_face_px, _THUMBNAIL_FACE * short)


def resized(image: Image, scale: float) -> Image:
    """`image` at about `scale`, at least one pixel a side."""
    if scale == 1:
        return image
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def ordered(boxes: Iterable[FaceBox]) -> list[FaceBox]:
    return sorted(boxes, key=lambda box: box.score * box.w * box.h, reverse=True)
