"""Geometry between an image and the crop that a network sees.

Every map is a 2x3 float64 affine matrix from crop pixels to image pixels, pixel centres at whole numbers in both.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import Preprocessing
from aue_crl_core.errors import ImageError
from aue_crl_core.facs import LEFT_EYE, MIRRORED_POINTS, RIGHT_EYE
from aue_crl_core.types import FaceBox, FaceCrop, Image, Points

Affine = NDArray[np.float64]

_MAX_SOURCE_SIDE = 32_766
"""The longest side of an image that cv2.warpAffine reads."""

LANDMARK_BOX_SCALE = 1.2
"""Side of the landmark net's first crop, in sides of the detector's box."""


def similarity(centre: tuple[float, float], side: float, angle: float, size: int) -> Affine:
    """The map that lays a `size` x `size` crop over a square of the image.

    `centre` (x, y) and `side` in image pixels; `angle` radians, by which the crop's x axis is turned in the image
    (positive turns x towards y).

    Raises:
        ImageError: a centre, side or angle that is not finite (points or a box with NaN).
    """
    if not np.isfinite((*centre, side, angle)).all():
        raise ImageError(
            f"a crop must have a finite place, got centre {tuple(map(float, centre))}, side {side}; "
            "the face points or box that it came from hold NaN or infinite values"
        )
    scale = max(side, 1e-3) / size
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (size - 1) / 2
    shift = np.asarray(centre, dtype=np.float64) - rotation @ (middle, middle)
    return np.column_stack([rotation, shift])


def roll(points: Points) -> float:
    """In-plane rotation of a face in radians: the direction from the right eye's centre to the left eye's."""
    right, left = points[list(RIGHT_EYE)].mean(axis=0), points[list(LEFT_EYE)].mean(axis=0)
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def map_from_points(points: Points, preprocessing: Preprocessing) -> Affine:
    """The canonical crop of a face: square around its 68 points (image pixels), turned upright if `align`."""
    angle = roll(points) if preprocessing.align else 0.0
    cosine, sine = np.cos(angle), np.sin(angle)
    axes = np.array([[cosine, sine], [-sine, cosine]])
    upright = points.astype(np.float64) @ axes.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    side = float((high - low).max()) * (1 + preprocessing.margin)
    centre = (low + high) / 2 - (0.0, preprocessing.lift * side)
    x, y = axes.T @ centre
    return similarity((x, y), side, angle, preprocessing.input_size)


def map_from_box(box: FaceBox, size: int, scale: float = LANDMARK_BOX_SCALE) -> Affine:
    """A square crop of side `scale * max(w, h)` around the middle of a box, turned by the roll of the face in it."""
    centre = (box.x + (box.w - 1) / 2, box.y + (box.h - 1) / 2)
    return similarity(centre, scale * max(box.w, box.h), box.roll, size)


def cut(image: Image, to_image: Affine, size: int) -> Image:
    """Resample the crop: SxSx3 uint8 of the image's colour order. Beyond the border the edge pixels repeat.

    Crops much finer than the image are first shrunk by whole factors with area averaging, so they do not alias.
    """
    factor = int(np.hypot(*to_image[:, 0]))
    if factor >= 2:
        image, to_image = _shrunk(image, to_image, size, factor)
    elif max(image.shape[:2]) > _MAX_SOURCE_SIDE:
        x0, y0, x1, y1 = _extent(image, to_image, size, margin=2)
        image, to_image = image[y0:y1, x0:x1], to_image - np.array([[0, 0, x0], [0, 0, y0]])
    if image.shape[:2] == (1, 1):  # OpenCV 4.5.4 takes a 1x1x3 array for a scalar
        return np.broadcast_to(image, (size, size, image.shape[2])).copy()
    return cv2.warpAffine(
        image,
        to_image,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _shrunk(image: Image, to_image: Affine, size: int, factor: int) -> tuple[Image, Affine]:
    x0, y0, x1, y1 = _extent(image, to_image, size, margin=2 * factor)
    columns, rows = max((x1 - x0) // factor, 1), max((y1 - y0) // factor, 1)
    region = image[y0 : y0 + min(rows * factor, y1 - y0), x0 : x0 + min(columns * factor, x1 - x0)]
    one_pixel = region.shape[:2] == (1, 1)
    small = region if one_pixel else cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)
    step = np.array([region.shape[1] / columns, region.shape[0] / rows])
    origin = np.array([x0, y0], dtype=np.float64) + (step - 1) / 2
    return small, (to_image - np.column_stack([np.zeros((2, 2)), origin])) / step[:, None]


def _extent(image: Image, to_image: Affine, size: int, margin: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the part of the image that the crop reads, `margin` pixels around it included; never empty."""
    height, width = image.shape[:2]
    corners = apply(to_image, np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]], dtype=np.float64))
    x0, y0 = (int(v) for v in np.clip(corners.min(axis=0) - margin, 0, (width - 1, height - 1)))
    x1, y1 = (int(v) + 1 for v in np.clip(corners.max(axis=0) + margin, 0, (width - 1, height - 1)))
    return x0, y0, x1, y1


def crop_face(image: Image, to_image: Affine, size: int) -> FaceCrop:
    """`cut`, with its map."""
    return FaceCrop(cut(image, to_image, size), to_image)


def apply(matrix: Affine, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Map Nx2 points."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def inverse(matrix: Affine) -> Affine:
    """The map back: image pixels to crop pixels."""
    return cv2.invertAffineTransform(matrix)


def mirrored_points(points: NDArray[np.floating], width: int) -> NDArray[np.floating]:
    """Points ...x68x2 of images `width` pixels wide after a horizontal flip; left and right trade places, so that point
    i keeps its meaning."""
    flipped = points[..., list(MIRRORED_POINTS), :].copy()
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped
