"""What the skin shows of action units: the folds and edges of the part of the face where an AU moves them.

A face mesh has no wrinkles, and takes the shape of a face for its movement: brows that sit high for raised ones. So a
linear map of oriented gradients (HOG: Dalal & Triggs, CVPR 2005) of that part alone is fitted to what mesh and prior
together say of the training faces; what it says is what a small part of the picture bears out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.faces.crop import cut
from aue_crl_core.faces.pose import SHAPE
from aue_crl_core.facs import ACTION_UNITS
from aue_crl_core.types import Image, Points

CELLS: Final = 12
"""So many cells lie across and down the aligned face: 144 mm of the average face, from the forehead to the chin."""
CHANNELS: Final = 27
"""18 directions of the gradient, and 9 of which opposite ones count as one."""

_CELL_PX: Final = 8
_MM_PER_CELL: Final = 12.0
_CORNER: Final = (-72.0, -32.0)
"""x, y of the frame's upper left corner, in the coordinates of `SHAPE`."""
_STEADY: Final = (27, 28, 29, 31, 33, 35, 36, 39, 42, 45)
"""Points that expressions hardly move."""
_STRONGEST: Final = 0.4
_BLUR: Final = 0.6

_Part = tuple[slice, slice]
_BROWS: Final[_Part] = (slice(0, 4), slice(1, 11))
_EYES: Final[_Part] = (slice(2, 5), slice(1, 11))
_CHEEKS: Final[_Part] = (slice(3, 7), slice(0, 12))
_NOSE: Final[_Part] = (slice(2, 7), slice(3, 9))
_UPPER_LIP: Final[_Part] = (slice(5, 9), slice(2, 10))
_MOUTH: Final[_Part] = (slice(7, 11), slice(1, 11))
_CHIN: Final[_Part] = (slice(8, 12), slice(2, 10))

PARTS: Final[dict[int, _Part]] = {
    **dict.fromkeys((1, 2, 4), _BROWS),
    **dict.fromkeys((5, 7), _EYES),
    6: _CHEEKS,
    9: _NOSE,
    10: _UPPER_LIP,
    15: _MOUTH,
    17: _CHIN,
}
"""AU -> rows and columns of the cells where the skin shows it. The others are not here: of the lips' corners (12, 20),
their opening and the jaw (25, 26) the mesh sees more; of the lips themselves (16, 23, 24) a cell sees too little."""

_DRAWN_TO_0: Final = 0.07
"""The ridge's penalty, in faces: so much of their number."""
_LEAST_SPREAD: Final = 0.5
_AT_ONCE: Final = 8192
"""Faces whose cells are numbers of 32 bits at a time."""


def gradients(image: Image, points: Points) -> NDArray[np.uint8]:
    """Oriented gradients of a face, uint8 `CELLS`x`CELLS`x`CHANNELS`: HxWx3 uint8 RGB and 68x2 points in its pixels,
    brought into one frame by the points that expressions hardly move.

    Each is its share of all edges in the cells around, 255 for 0.4 and more.
    """
    side = CELLS * _CELL_PX
    grey = cv2.cvtColor(cut(image, _to_image(points), side), cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), _BLUR)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=1) for order in ((1, 0), (0, 1)))
    size, angle = cv2.cartToPolar(across, down)
    signed = CHANNELS * 2 // 3
    direction = (angle * (signed / (2 * np.pi))).astype(np.int64) % signed
    maps = np.zeros((side, side, signed), np.float32)
    np.put_along_axis(maps, direction[..., None], size[..., None], axis=2)
    cells = maps.reshape(CELLS, _CELL_PX, CELLS, _CELL_PX, signed).mean(axis=(1, 3))
    cells = cv2.GaussianBlur(cells.reshape(CELLS, CELLS, signed), (3, 3), _BLUR)
    half = cells[..., : signed // 2] + cells[..., signed // 2 :]
    around = cv2.blur(np.square(half).sum(axis=2), (3, 3), borderType=cv2.BORDER_REPLICATE)
    shares = np.concatenate([cells, half], axis=2) / (np.sqrt(np.maximum(around, 0))[..., None] + 1e-2)
    return np.round(np.minimum(shares / _STRONGEST, 1) * 255).astype(np.uint8)


def _to_image(points: Points) -> NDArray[np.float64]:
    """The similarity that takes pixels of the aligned face to the image's, 2x3: least squares over `_STEADY`."""
    frame = (np.array([SHAPE[i][:2] for i in _STEADY]) - _CORNER) * (_CELL_PX / _MM_PER_CELL)
    place = np.asarray(points, dtype=np.float64)[list(_STEADY)]
    ones, none = np.ones(len(frame)), np.zeros(len(frame))
    x, y = frame.T
    rows = np.concatenate([np.stack([x, -y, ones, none], axis=1), np.stack([y, x, none, ones], axis=1)])
    a, b, right, down = np.linalg.lstsq(rows, place.T.ravel(), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


def appearance_scores(
    faces: Sequence[NDArray[np.uint8]], shares: NDArray[np.floating]
) -> dict[int, NDArray[np.float64]]:
    """How much the skin of N faces speaks for each AU of `PARTS`: AU -> float64 N.

    `faces`: N times what `gradients` gives; `shares` Nx17 in [0, 1], how likely each AU is on them otherwise, in the
    order of `ACTION_UNITS`. Each score is the ridge regression of the latter on the cells of the AU's part.
    """
    stacked = np.asarray(faces, dtype=np.uint8)
    found = {}
    for part in dict.fromkeys(map(_name, PARTS.values())):
        units = [unit for unit, cells in PARTS.items() if _name(cells) == part]
        wanted = np.asarray(shares, np.float64)[:, [ACTION_UNITS.index(unit) for unit in units]]
        for unit, score in zip(units, _ridge(stacked[(slice(None), *PARTS[units[0]])], wanted).T, strict=True):
            found[unit] = score
    return found


def _ridge(cells: NDArray[np.uint8], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a linear map of N faces' cells, fitted to `wanted` NxU, says of them: NxU, without the mean."""
    flat = cells.reshape(len(cells), -1)
    mean, spread = flat.mean(axis=0), flat.std(axis=0) + _LEAST_SPREAD

    def columns(start: int) -> NDArray[np.float32]:
        return ((flat[start : start + _AT_ONCE] - mean) / spread).astype(np.float32)

    starts = range(0, len(flat), _AT_ONCE)
    aims = (wanted - wanted.mean(axis=0)).astype(np.float32)
    products = np.diag(np.full(flat.shape[1], _DRAWN_TO_0 * len(flat)))
    agreement = np.zeros((flat.shape[1], aims.shape[1]))
    for start in starts:
        some = columns(start)
        products += some.T @ some
        agreement += some.T @ aims[start : start + _AT_ONCE]
    weights = np.linalg.solve(products, agreement).astype(np.float32)
    return np.concatenate([columns(start) @ weights for start in starts]).astype(np.float64)


def _name(part: _Part) -> tuple[int, int, int, int]:
    rows, columns = part
    return rows.start, rows.stop, columns.start, columns.stop
