"""Image files and arrays, read into the one form that everything else takes: HxWx3 uint8 RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.decoding import MAX_PIXELS, decode_heif, decode_image
from aue_crl_core.media.reading.extras import holds_more
from aue_crl_core.media.reading.headers import read_header
from aue_crl_core.media.reading.heif import is_heif
from aue_crl_core.types import Image
from aue_crl_core.whole_file import whole_file

WRITTEN_SUFFIXES: Final = frozenset(
    {".bmp", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""File name endings, lower case, of the images that can be written."""
IMAGE_SUFFIXES: Final = WRITTEN_SUFFIXES | {".avif", ".heic", ".heif", ".hif"}
"""File name endings, lower case, that are taken for images when a folder is searched."""

_READ: Final = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
_REDUCED: Final = 2
_DEPTHS: Final = (8, 10, 12, 14)
_WITHIN: Final = 99.9
_MOST_LOOKED_AT: Final = 1_000_003


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file as it was read.

    `image` HxWx3 uint8 RGB, upright; `scale` how many pixels of the file one of its pixels is, in each direction;
    `notes` what the user should hear: that it was read at reduced size, or that it holds more pictures.
    """

    image: Image
    scale: int = 1
    notes: tuple[str, ...] = ()


def load_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read an image file as HxWx3 uint8 RGB (0-255), turned upright by its EXIF orientation.

    Grey becomes three equal channels; CMYK is converted; transparency is dropped, which leaves the colour stored under
    it. Values of 16 bits are divided by 257; where all but one in a thousand of them lie below 2^8, 2^10, 2^12 or 2^14
    (a camera's 10 or 12 bits, stored in 16, with a few hot pixels), that is taken for white instead. Every picture is
    measured before it is decoded. Of a file with several pictures the first, or the main one, is read.

    Args:
        path: the file.
        max_pixels: refuse images of more than this many pixels.

    Raises:
        ImageError: the file is missing, empty, cut short, damaged, no image, or has more than `max_pixels` pixels.
    """
    return _decoded(_content(Path(path)), str(path), _READ, max_pixels)


def load_picture(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """As `load_image`, but a JPEG of up to four times `max_pixels` pixels is decoded at half its width and height.

    Raises:
        ImageError: as `load_image`.
    """
    data, notes = _content(Path(path)), []
    header = read_header(data)
    pixels = header.width * header.height if header is not None and header.format == "JPEG" else 0
    scale = _REDUCED if pixels > max_pixels else 1
    flags = _READ | (cv2.IMREAD_REDUCED_COLOR_2 if scale > 1 else 0)
    image = _decoded(data, str(path), flags, scale * scale * max_pixels)
    if scale > 1:
        notes.append(f"{path} has {pixels / 1e6:.0f} megapixels; it was read at half its width and height")
    if holds_more(data):
        notes.append(f"{path} holds several pictures or a moving one; the first was read, or the main one")
    return Picture(image, scale, tuple(notes))


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist; give the path of an image file") from None
    except (OSError, ValueError) as error:  # ValueError: no name of a file (a zero byte in it)
        raise ImageError(f"{path} cannot be read as a file: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise ImageError(f"{path} is empty (0 bytes); an image was expected: copy or record it again")
    return data


def _decoded(data: bytes, what: str, flags: int, max_pixels: int) -> Image:
    if is_heif(data):
        return decode_heif(data, what, max_pixels)
    pixels = decode_image(data, flags, what, max_pixels)
    return as_rgb(swap_red_blue(_stretched(pixels) if pixels.dtype == np.uint16 else pixels))


def _stretched(pixels: np.ndarray) -> np.ndarray:
    """Values of fewer bits than 16 (see `load_image`) brought to 0-65535; what is whiter than white is white."""
    high = np.percentile(pixels.reshape(-1)[:: 1 + pixels.size // _MOST_LOOKED_AT], _WITHIN)
    white = next((2**bits - 1 for bits in _DEPTHS if 0 < high < 2**bits), 65535)
    if white == 65535:
        return pixels
    return np.round(np.minimum(pixels, white) * (65535 / white)).astype(np.uint16)


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
