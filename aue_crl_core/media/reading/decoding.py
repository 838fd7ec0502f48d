"""Compressed pictures to pixels: the one place where OpenCV's decoders are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import cv2
import numpy as np

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.completeness import image_damage
from aue_crl_core.media.reading.headers import FORMATS, read_header

MAX_PIXELS: Final = 64_000_000
"""The most pixels that are decoded unless told otherwise (192 MB as RGB)."""


def decode_image(data: bytes, flags: int, what: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of image bytes as `cv2.imdecode` gives them for `flags`: HxW, or HxWx3 in its order of colours.

    The size is read from the header before anything is decoded; formats without such a header (see `FORMATS`) are
    refused, so that a few bytes cannot ask for gigabytes. `what` names the picture in messages.

    Raises:
        ImageError: another format, cut short, damaged, or more than `max_pixels` pixels.
    """
    header = read_header(data)
    if header is None:
        raise ImageError(
            f"{what} is not a picture of a kind that is read ({', '.join(FORMATS)}), but {len(data)} bytes of another "
            "kind, cut short or damaged; save it as PNG or JPEG"
        )
    _check_size(what, header.width, header.height, max_pixels)
    damage = image_damage(data)
    if damage is not None:
        raise ImageError(f"{what} is not a whole image: it {damage}; copy or send it again")
    with opencv_errors(what):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise ImageError(f"{what} is not a {header.format} picture that OpenCV reads; it is damaged or cut short")
    _check_size(what, pixels.shape[1], pixels.shape[0], max_pixels)
    return pixels


@contextmanager
def opencv_errors(what: str) -> Iterator[None]:
    """`ImageError` for what OpenCV and numpy raise on pixels that they cannot take or have no memory for."""
    try:
        yield
    except (cv2.error, MemoryError) as error:
        reason = " ".join((getattr(error, "err", None) or str(error) or "no memory").split())
        raise ImageError(f"{what} cannot be decoded: {reason}") from error


def _check_size(what: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"{what} has {width}x{height} = {width * height / 1e6:.1f} megapixels, at most {max_pixels / 1e6:g} are "
            "read; scale it down"
        )
