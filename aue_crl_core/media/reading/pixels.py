"""Image files and arrays, read into the one form that everything else takes: HxWx3 uint8 RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.decoding import MAX_PIXELS, decode_image
from aue_crl_core.types import Image
from aue_crl_core.whole_file import whole_file

IMAGE_SUFFIXES: Final = frozenset(
    {".bmp", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""File name endings, lower case, that are taken for images when a folder is searched."""


def load_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read an image file as HxWx3 uint8 RGB (0-255), turned upright by its EXIF orientation.

    Grey becomes three equal channels; CMYK is converted; 16-bit values (0-65535) are divided by 257; transparency is
    dropped, which leaves the colour stored under it. Every picture is measured before it is decoded.

    Args:
        path: the file.
        max_pixels: refuse images of more than this many pixels.

    Raises:
        ImageError: the file is missing, empty, cut short, damaged, no image, or has more than `max_pixels` pixels.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist; give the path of an image file") from None
    except (OSError, ValueError) as error:  # ValueError: no name of a file (a zero byte in it)
        raise ImageError(f"{path} cannot be read as a file: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise ImageError(f"{path} is empty (0 bytes); an image was expected: copy or record it again")
    pixels = decode_image(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, str(path), max_pixels)
    return as_rgb(swap_red_blue(pixels))


def as_rgb(array: Any) -> Image:
    """Bring an image array into HxWx3 uint8 RGB, C-contiguous; the array itself is returned where it is that already.

    Args:
        array: HxW or HxWx1 grey, HxWx3 RGB or HxWx4 RGBA (alpha is dropped); uint8 (0-255), uint16 (0-65535, divided by
            257) or float (0-1). OpenCV's BGR order must be converted by the caller: it can't be seen in the values.

    Raises:
        ImageError: another shape or type, no pixels, or float values that are not finite or not in [0, 1].
    """
    image = np.asarray(array)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        hint = "; move the channels last" if image.ndim == 3 and image.shape[0] in (1, 3, 4) else ""
        raise ImageError(f"an image must be HxW, HxWx1, HxWx3 or HxWx4, got shape {image.shape}{hint}")
    if image.size == 0:
        raise ImageError(f"an image must have at least one pixel, got shape {image.shape}")
    if image.ndim == 3 and image.shape[2] == 4:
        image = image[:, :, :3]
    image = _as_uint8(image)
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image)


def swap_red_blue(image: np.ndarray) -> np.ndarray:
    """HxWx3 RGB to BGR or back; also of a single pixel, which OpenCV 4.5.4 does not take."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.size > 3 else image[..., ::-1].copy()


def save_image(path: str | Path, image: Image) -> None:
    """Write HxWx3 uint8 RGB, in one step, to a file of the kind that its suffix names; missing folders are made.

    Raises:
        ImageError: the suffix is no image format.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    options = [cv2.IMWRITE_JPEG_QUALITY, 94] if path.suffix.lower() in (".jpg", ".jpeg") else []
    try:
        _, data = cv2.imencode(path.suffix, swap_red_blue(as_rgb(image)), options)
    except cv2.error as error:
        raise ImageError(
            f"{path} must end in an image format's suffix, for example .png or .jpg, got {path.suffix!r}"
        ) from error
    with whole_file(path) as part:
        part.write_bytes(data)


def _as_uint8(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(image.dtype, np.floating):
        raise ImageError(f"an image must be uint8, uint16 or float in [0, 1], got {image.dtype}")
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("a float image must be finite, got NaN or infinite values")
    if low < 0 or high > 1:
        hint = "; divide by 255, or convert to uint8" if high > 1 else ""
        raise ImageError(f"a float image must lie in [0, 1], got [{low:.4g}, {high:.4g}]{hint}")
    return np.round(image * 255).astype(np.uint8)
