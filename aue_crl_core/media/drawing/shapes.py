"""Small drawing tools on HxWx3 uint8 RGB arrays, in place, anti-aliased, clipped at the edges. Lengths in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.types import Image

Colour = tuple[int, int, int]
"""Red, green, blue, 0-255."""

_SUBPIXEL_BITS: Final = 4
_OVERSAMPLING: Final = 4
_ASCENT, _DESCENT = 1.15, 0.4  # of the cap height
_LARGE: Final = 10_000
"""Area in pixels above which a filled shape is kept in the small cache."""

Rect = tuple[float, float, float, float]
"""Left, top, width, height."""


@lru_cache(maxsize=4096)
def text_mask(text: str, size: float, bold: bool = False) -> NDArray[np.uint8]:
    """Coverage of a line of ASCII text (others become `?`), HxW uint8 0-255; `size` is the height of a capital letter.

    Hershey strokes are drawn at four times the size and shrunk, which makes them as smooth as a real font at 8 pixels.
    """
    text = text.encode("ascii", "replace").decode("ascii")
    font, big = cv2.FONT_HERSHEY_SIMPLEX, size * _OVERSAMPLING
    thickness = max(1, round(big * (0.2 if bold else 0.13)))
    scale = big / cv2.getTextSize("H", font, 1, 1)[0][1]
    (width, _), _ = cv2.getTextSize(text, font, scale, thickness)
    height = round(size * (_ASCENT + _DESCENT))
    columns = max(1, -(-width // _OVERSAMPLING))
    canvas = np.zeros((height * _OVERSAMPLING, columns * _OVERSAMPLING), np.uint8)
    origin = (0, round(big * _ASCENT))
    cv2.putText(canvas, text, origin, font, scale, 255, thickness, cv2.LINE_AA)
    return cv2.resize(canvas, (columns, height), interpolation=cv2.INTER_AREA)


def put_text(
    image: Image,
    text: str,
    at: tuple[float, float],
    size: float,
    colour: Colour,
    *,
    align: Literal["left", "right", "centre"] = "left",
    bold: bool = False,
) -> None:
    """Write one line, its capitals' vertical centre at `at` = (x, y)."""
    stamp = _text_stamp(text, size, bold, colour)
    x = at[0] - {"left": 0.0, "right": 1.0, "centre": 0.5}[align] * stamp.keep.shape[1]
    _press(image, stamp, round(x), round(at[1] - size * (_ASCENT - 0.5)))


def fill_rounded(
    image: Image, rect: tuple[int, int, int, int], radius: int, colour: Colour, opacity: float = 1.0
) -> None:
    """Fill the rectangle (x, y, w, h) with round corners; `opacity` in [0, 1]."""
    x, y, w, h = rect
    if w >= 1 and h >= 1:
        make = _large_stamp if w * h > _LARGE else _rounded_stamp
        _press(image, make(w, h, radius, colour, opacity), x, y)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A coloured shape, ready to lay over pixels: `(pixels * keep + add) // 255`; both HxWx3 uint16."""

    keep: NDArray[np.uint16]
    add: NDArray[np.uint16]

    @classmethod
    def of(cls, mask: NDArray[np.uint8], colour: Colour) -> _Stamp:
        weight = np.repeat(mask[:, :, None], 3, axis=2).astype(np.uint16)
        return cls(255 - weight, weight * np.array(colour, np.uint16) + np.uint16(127))


@lru_cache(maxsize=1024)
def _text_stamp(text: str, size: float, bold: bool, colour: Colour) -> _Stamp:
    return _Stamp.of(text_mask(text, size, bold), colour)


@lru_cache(maxsize=512)
def _rounded_stamp(width: int, height: int, radius: int, colour: Colour, opacity: float) -> _Stamp:
    return _Stamp.of(_rounded_mask(width, height, radius, opacity), colour)


@lru_cache(maxsize=8)
def _large_stamp(width: int, height: int, radius: int, colour: Colour, opacity: float) -> _Stamp:
    return _Stamp.of(_rounded_mask(width, height, radius, opacity), colour)


def _rounded_mask(width: int, height: int, radius: int, opacity: float) -> NDArray[np.uint8]:
    canvas = np.zeros((height * _OVERSAMPLING, width * _OVERSAMPLING), np.uint8)
    far_x, far_y = canvas.shape[1] - 1, canvas.shape[0] - 1
    r = min(radius * _OVERSAMPLING, far_x // 2, far_y // 2)
    value = round(255 * opacity)
    cv2.rectangle(canvas, (r, 0), (far_x - r, far_y), value, cv2.FILLED)
    cv2.rectangle(canvas, (0, r), (far_x, far_y - r), value, cv2.FILLED)
    for centre in ((r, r), (far_x - r, r), (r, far_y - r), (far_x - r, far_y - r)):
        cv2.circle(canvas, centre, r, value, cv2.FILLED)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _press(image: Image, stamp: _Stamp, x: int, y: int) -> None:
    """Lay a stamp over the image, its top left corner at (x, y); what lies outside is cut off."""
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(stamp.keep.shape[0], image.shape[0] - y), min(stamp.keep.shape[1], image.shape[1] - x)
    if top >= bottom or left >= right:
        return
    region = image[y + top : y + bottom, x + left : x + right]
    region[...] = (region * stamp.keep[top:bottom, left:right] + stamp.add[top:bottom, left:right]) // 255


def polyline(
    image: Image, points: NDArray[np.floating], colour: Colour, thickness: int, *, closed: bool = False
) -> None:
    """A line through Nx2 points (x, y), to a sixteenth of a pixel.

    Points further outside than the image is large are drawn from there: OpenCV walks all the way to where they are.
    """
    size = np.array(image.shape[1::-1])
    near = np.clip(np.asarray(points, np.float64), -size, 2 * size)
    fixed = np.round(near * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.polylines(image, [fixed[:, None]], closed, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def corners(image: Image, rect: Rect, length: float, colour: Colour, thickness: int) -> None:
    """The four corners of the rectangle (x, y, w, h), each side `length` long."""
    x, y, w, h = rect
    for cx, cy, dx, dy in ((x, y, 1, 1), (x + w, y, -1, 1), (x + w, y + h, -1, -1), (x, y + h, 1, -1)):
        corner = np.array([[cx + dx * length, cy], [cx, cy], [cx, cy + dy * length]])
        polyline(image, corner, colour, thickness)


def dashed_rectangle(image: Image, rect: Rect, dash: float, colour: Colour, thickness: int) -> None:
    """The outline of (x, y, w, h) in dashes of about `dash`, a whole number of them a side."""
    x, y, w, h = rect
    ends = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]])
    for start, end in pairwise(ends):
        dashes = max(1, round(float(np.abs(end - start).sum()) / dash / 2)) * 2 + 1
        for k in range(0, dashes, 2):
            polyline(image, start + (end - start) * np.array([[k / dashes], [(k + 1) / dashes]]), colour, thickness)
