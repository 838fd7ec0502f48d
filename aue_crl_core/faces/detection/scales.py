"""The sizes at which an image is looked at: that at which a network finds faces, and smaller ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import require
from aue_crl_core.faces.detection.working import check_image, ordered, resized, smallest_face
from aue_crl_core.types import FaceBox, Image

SMALL_PX: Final = 320
_SURE_FACE_PX: Final = 24.0
_LEAST_LONG_PX: Final = 240
_FILLS: Final = 1 / 3
_CELL_PX: Final = 32
_DARK: Final = 60.0
_BRIGHT: Final = 100.0
_MOST_GAIN: Final = 12.0


def check_settings(min_face_px: float, work_px: int, score_threshold: float, threads: int | None) -> None:
    """Of a detector that a network is.

    Raises:
        ConfigError: one is out of its range.
    """
    require(min_face_px > 0, "min_face_px", "be above 0", min_face_px)
    require(work_px >= 64, "work_px", "be at least 64", work_px)
    require(0 < score_threshold < 1, "score_threshold", "be in (0, 1)", score_threshold)
    require(threads is None or threads >= 1, "threads", "be at least 1, or None", threads)


class NearLook(NamedTuple):
    """A look for a face that fills the image, near or in a thumbnail: at the image made `px` long, with a border of
    that share of it; `always`, or where nothing else is found."""

    px: int
    border: float
    always: bool


IF_NONE: Final = NearLook(240, 0.25, always=False)


def look_twice(
    see: Callable[[Image], list[FaceBox]],
    image: Image,
    *,
    min_face_px: float,
    work_px: int,
    near: NearLook | None = IF_NONE,
) -> list[FaceBox]:
    """What `see` finds in `image` (HxWx3 uint8 RGB), surest and largest first, in its pixels.

    The image is scaled so that a face of `min_face_px` is one of 24 px, but to a long side of at most `work_px` and no
    less than 240 px; a dark one is brightened. A second look is as `near` says (None: there is none); where the first
    found something, it is for faces of a third of the image's long side and more. `see` has boxes in the pixels of what
    it is shown.

    Raises:
        ImageError: see `FaceDetector`.
    """
    check_image(image)
    long = max(image.shape[:2])
    scale = min(1.0, max(_SURE_FACE_PX / min_face_px, _LEAST_LONG_PX / long), work_px / long)
    boxes = _look(see, image, _brightened(resized(image, scale)))
    if near is not None and (near.always or not boxes):
        small = resized(image, near.px / long)
        border = round(near.border * max(small.shape[:2]))
        framed = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        filling = _look(see, image, _brightened(framed), border)
        boxes += [box for box in filling if not boxes or max(box.w, box.h) >= _FILLS * long]
    least = smallest_face(image, min_face_px)
    return ordered(box for box in boxes if max(box.w, box.h) >= least)


def look_small(detector: Callable[[Image], list[FaceBox]], image: Image) -> list[FaceBox]:
    """What a detector finds in `image` (HxWx3 uint8 RGB) with a long side of at most 320 px, which takes a quarter of
    the time; boxes in the pixels of `image`.

    Raises:
        ImageError: see `FaceDetector`.
    """
    check_image(image)
    return _look(detector, image, resized(image, min(1.0, SMALL_PX / max(image.shape[:2]))))


def _look(see: Callable[[Image], list[FaceBox]], image: Image, scaled: Image, border: int = 0) -> list[FaceBox]:
    """Boxes in pixels of `image`, found in it as `scaled`, with a border of so many pixels."""
    height, width = (side - 2 * border for side in scaled.shape[:2])
    x, y = image.shape[1] / width, image.shape[0] / height
    return [
        replace(box, x=(box.x - border) * x, y=(box.y - border) * y, w=box.w * x, h=box.h * y) for box in see(scaled)
    ]


def _brightened(image: Image) -> Image:
    """A dark image (mean below 60 of 255) with its noise smoothed and its light multiplied; others as they are."""
    mean = float(image.mean())
    if mean >= _DARK:
        return image
    return cv2.convertScaleAbs(cv2.GaussianBlur(image, (0, 0), 1.0), alpha=min(_MOST_GAIN, _BRIGHT / max(mean, 1.0)))


def as_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """HxWxC -> float32 1xCxH'xW', 0 right of it and below, up to the next multiples of 32 px."""
    height, width, channels = pixels.shape
    padded = np.zeros((1, channels, -(-height // _CELL_PX) * _CELL_PX, -(-width // _CELL_PX) * _CELL_PX), np.float32)
    padded[0, :, :height, :width] = pixels.transpose(2, 0, 1)
    return padded
