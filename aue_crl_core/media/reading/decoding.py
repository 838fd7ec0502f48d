"""Compressed pictures to pixels: the one place where OpenCV's decoders are called, and FFmpeg's for stills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.completeness import image_damage
from aue_crl_core.media.reading.extras import upright, webp_orientation
from aue_crl_core.media.reading.headers import FORMATS, read_header
from aue_crl_core.media.reading.heif import Cut, HeifFile, Mirror, Tile, Turn
from aue_crl_core.types import Image

if TYPE_CHECKING:
    import av

MAX_PIXELS: Final = 64_000_000
"""The most pixels that are decoded unless told otherwise (192 MB as RGB)."""

_BT601: Final = 5
_MATRICES: Final = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Matrix coefficients of ITU-T H.273 -> FFmpeg's swscale."""
_UNSPECIFIED, _LIMITED, _FULL = 0, 1, 2


def decode_image(data: bytes, flags: int, what: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of image bytes as `cv2.imdecode` gives them for `flags`: HxW, or HxWx3 in its order of colours.

    They are turned upright by the EXIF orientation, also in WebP, where OpenCV does not heed it. The size is read from
    the header before anything is decoded; formats without such a header (see `FORMATS`) are refused, so that a few
    bytes cannot ask for gigabytes. `what` names the picture in messages.

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
    turned = header.format == "WebP"
    with opencv_errors(what):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | (cv2.IMREAD_IGNORE_ORIENTATION if turned else 0))
    if pixels is None:
        raise ImageError(f"{what} is not a {header.format} picture that OpenCV reads; it is damaged or cut short")
    _check_size(what, pixels.shape[1], pixels.shape[0], max_pixels)
    return upright(pixels, webp_orientation(data)) if turned else pixels


def decode_heif(data: bytes, what: str, max_pixels: int = MAX_PIXELS) -> Image:
    """The main picture of a HEIC or AVIF file as HxWx3 uint8 RGB, upright; measured before anything is decoded.

    Raises:
        ImageError: cut short, damaged, of a kind that is not read, more than `max_pixels` pixels, or no PyAV is there.
    """
    file = HeifFile(data, what)
    _check_size(what, file.width, file.height, max_pixels)
    picture = np.zeros((file.height, file.width, 3), np.uint8)
    for index, tile in enumerate(file.tiles()):
        row, column = divmod(index, file.columns)
        _check_size(what, tile.width, tile.height, max_pixels)
        top, left = row * tile.height, column * tile.width
        if top >= file.height or left >= file.width:
            raise ImageError(f"{what} is damaged: a part of it lies outside")
        place = picture[top : top + tile.height, left : left + tile.width]
        place[:] = _tile_pixels(tile, file, what, max_pixels)[: place.shape[0], : place.shape[1]]
    for change in file.changes:
        if isinstance(change, Turn):
            picture = np.rot90(picture, change.quarters)
        elif isinstance(change, Mirror):
            picture = np.flip(picture, change.axis)
        elif isinstance(change, Cut):
            picture = picture[change.top : change.top + change.height, change.left : change.left + change.width]
    return np.ascontiguousarray(picture)


@contextmanager
def opencv_errors(what: str) -> Iterator[None]:
    """`ImageError` for what OpenCV and numpy raise on pixels that they cannot take or have no memory for."""
    try:
        yield
    except (cv2.error, MemoryError) as error:
        reason = " ".join((getattr(error, "err", None) or str(error) or "no memory").split())
        raise ImageError(f"{what} cannot be decoded: {reason}") from error


def _tile_pixels(tile: Tile, file: HeifFile, what: str, max_pixels: int) -> Image:
    try:
        import av
    except ImportError as error:
        raise ImageError(f"{what} is a HEIC or AVIF picture, which PyAV reads ({error}): pip install av") from error
    try:
        decoder = av.CodecContext.create(tile.decoder, "r")
        decoder.options = {"max_pixels": str(max_pixels)}
        decoder.extradata = tile.setup or None
        frames = [*decoder.decode(av.Packet(tile.data)), *decoder.decode(None)]
    except (av.error.FFmpegError, ValueError) as error:  # ValueError: no such decoder in this PyAV
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{what} cannot be decoded by FFmpeg's {tile.decoder} ({reason}); save it as JPEG") from error
    if len(frames) != 1 or frames[0].width < tile.width or frames[0].height < tile.height:
        raise ImageError(f"{what} is damaged: a part of it is not of the size that it says")
    return _coloured(frames[0], file)


def _coloured(frame: av.VideoFrame, file: HeifFile) -> Image:
    """RGB; where neither the file nor the coded data say so, the values are of BT.601 and of full range."""
    matrix = _MATRICES.get(file.matrix if file.matrix is not None else int(frame.colorspace), _BT601)
    full = file.full_range if file.full_range is not None else int(frame.color_range) != _LIMITED
    source = _FULL if full else _UNSPECIFIED  # which is limited; PyAV 12 takes _LIMITED for full
    return frame.reformat(
        format="rgb24", src_colorspace=matrix, src_color_range=source, dst_color_range=_FULL
    ).to_ndarray()


def _check_size(what: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"{what} has {width}x{height} = {width * height / 1e6:.1f} megapixels, at most {max_pixels / 1e6:g} are "
            "read; scale it down"
        )
