"""Frames around a picture: a film's bars, a passe-partout, the margin of a scan."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.types import Image

_EVEN: Final = 12
"""So far from a border's colour its values may lie: bars have a JPEG's ripples."""
_SOFT: Final = 3
"""Lines at the edge that may be of both, border and picture: it was scaled with its frame."""
_DEPTH: Final = 8
_AS_WIDE: Final = 0.9
"""A border's inner edge is straight: where the picture begins it is as wide as so many lines further in. What stands
before a plain background begins with an arc of hair, an ear, a shoulder."""
_LEAST: Final = 0.2
"""What is taken for the picture is at least so much of each side."""
_ROWS, _COLUMNS = 0, 1


def within_border(image: Image) -> tuple[Image, tuple[int, int]]:
    """The part of a picture that is within its border, as a view, and how far (right, down), in pixels, it begins.

    `image` HxWx3 uint8. A border is lines of one colour, from the edge on, of any number on each side, that end in a
    straight edge; a studio's plain wall behind a head is none, and bars that a strong compression has frayed are left.
    Without a border the part is all of the picture.
    """
    part, right, down = image, 0, 0
    for _ in range(2):  # bars on two sides may hide that there are bars on the others
        top, bottom = (_border(part, _ROWS, last) for last in (False, True))
        part, down = part[top : len(part) - bottom], down + top
        left, far = (_border(part, _COLUMNS, last) for last in (False, True))
        part, right = part[:, left : part.shape[1] - far], right + left
        if not (top or bottom or left or far):
            break
    if part.shape[0] < _LEAST * image.shape[0] or part.shape[1] < _LEAST * image.shape[1]:
        return image, (0, 0)
    return part, (right, down)


def _border(image: Image, axis: int, last: bool) -> int:
    """How many rows or columns, from the first one on or from the last one back, are border; none where all are."""
    if image.shape[axis] <= _DEPTH + _SOFT:
        return 0
    seen_from_there = slice(None, None, -1 if last else 1)
    edge = image.swapaxes(0, axis)[-1 if last else 0]
    middle = edge[len(edge) // 2].astype(int)
    low, high = (middle - _EVEN).clip(0, 255), (middle + _EVEN).clip(0, 255)
    if ((edge < low) | (edge > high)).any():
        return 0
    within = cv2.inRange(image, tuple(low.tolist()), tuple(high.tolist())).swapaxes(0, axis)[seen_from_there]
    end = int((within == 0).any(axis=1)[: -_DEPTH - _SOFT].argmax())
    for line in range(end, end + _SOFT) if end else ():
        width = _width(within[line])
        if width >= max(_AS_WIDE * _width(within[line + _DEPTH]), _LEAST * within.shape[1]):
            return line
    return 0


def _width(within: NDArray[np.uint8]) -> int:
    """From the first to the last pixel of a line that is not within the border's colours."""
    (places,) = np.nonzero(within == 0)
    return int(places[-1] - places[0] + 1) if places.size else 0
