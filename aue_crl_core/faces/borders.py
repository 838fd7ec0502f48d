"""Frames around a picture: a film's bars, a passe-partout, the margin of a scan."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.types import Image

_EVEN: Final = 12
"""So far from a border's colour its values may lie: bars have a JPEG's ripples."""
_DEPTH: Final = 8
_AS_WIDE: Final = 0.9
"""A border's inner edge is straight: where the picture begins it is as wide as so many lines further in. What stands
before a plain background begins with an arc of hair, an ear, a shoulder."""
_LEAST: Final = 0.2
"""What is taken for the picture is at least so much of each side."""


def within_border(image: Image) -> tuple[Image, tuple[int, int]]:
    """The part of a picture that is within its border, as a view, and how far (right, down), in pixels, it begins.

    `image` HxWx3 uint8. A border is lines of one colour, from the edge on, of any number on each side, that end in a
    straight edge; a studio's plain wall behind a head is none, and bars that a strong compression has frayed are left.
    Without a border the part is all of the picture.
    """
    part, right, down = image, 0, 0
    for _ in range(2):  # bars on two sides may hide that there are bars on the others
        top, bottom = _border(part), _border(part[::-1])
        part, down = part[top : len(part) - bottom], down + top
        columns = part.swapaxes(0, 1)
        left, far = _border(columns), _border(columns[::-1])
        part, right = part[:, left : len(columns) - far], right + left
        if not (top or bottom or left or far):
            break
    if part.shape[0] < _LEAST * image.shape[0] or part.shape[1] < _LEAST * image.shape[1]:
        return image, (0, 0)
    return part, (right, down)


def _border(lines: NDArray[np.uint8]) -> int:
    """How many of an image's lines, from the first one on, are border; none where all are of one colour."""
    if len(lines) <= _DEPTH + 3:
        return 0
    colour = lines[0, lines.shape[1] // 2].astype(np.int16)
    end = next((i for i in range(len(lines) - _DEPTH - 3) if _width(lines[i], colour)), 0)
    for line in range(end, end + 3) if end else ():  # the line at the edge may be of both
        width = _width(lines[line], colour)
        if width >= max(_AS_WIDE * _width(lines[line + _DEPTH], colour), _LEAST * lines.shape[1]):
            return line
    return 0


def _width(line: NDArray[np.uint8], colour: NDArray[np.int16]) -> int:
    """From the first to the last pixel of a line that is not of the border's colour."""
    (places,) = np.nonzero((np.abs(line - colour) > _EVEN).any(axis=1))
    return int(places[-1] - places[0] + 1) if places.size else 0
