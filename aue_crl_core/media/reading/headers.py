"""What an image file says of its size, read without decoding a pixel.

Formats: PNG (W3C PNG, 5.3), JPEG (ITU-T T.81, annex B), BMP, GIF (89a, 18), WebP (RFC 9649), TIFF (6.0, and BigTIFF),
portable maps (Netpbm P1 to P6). JPEG 2000 is not among them: a process that decoded damaged files
with OpenCV 4.11 crashed, and of their formats that one is suspected.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

JPEG_END: Final = 0xD9
_JPEG_START_OF_SCAN: Final = 0xDA
_JPEG_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_MARKER_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_NETPBM: Final = re.compile(rb"P[1-6]\s" + 2 * rb"(?:\s|#[^\r\n]*[\r\n])*([0-9]{1,10})\s")

_TIFF_WIDTHS: Final = (256, 322)  # ImageWidth, TileWidth
_TIFF_HEIGHTS: Final = (257, 278, 323)  # ImageLength, RowsPerStrip, TileLength
_TIFF_ALL_ROWS: Final = 2**32 - 1
_TIFF_NUMBERS: Final = {1: "B", 3: "H", 4: "I", 16: "Q"}
_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})


UNREADABLE: Final = (struct.error, IndexError, OverflowError)
"""What reading fields of cut or damaged bytes raises; the last for a place beyond any file."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image file says of itself: `width`, `height` in pixels (stored, before any EXIF rotation)."""

    format: str
    width: int
    height: int


def read_header(data: bytes) -> ImageHeader | None:
    """The header of image bytes of one of `FORMATS`; None for other formats, a cut header, or a size that it hides."""
    for name, beginning, read in _READERS:
        if beginning.match(data):
            try:
                size = read(data)
            except UNREADABLE:
                return None
            return None if size is None else ImageHeader(name, *size)
    return None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start of its length field, end) in file order, up to the end of the image or of the data."""
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 2 > len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        end = at + 2
        if marker not in _JPEG_WITHOUT_LENGTH and marker != JPEG_END:
            if at + 4 > len(data):
                return
            end += struct.unpack(">H", data[at + 2 : at + 4])[0]
        yield marker, at + 2, end
        if marker == JPEG_END:
            return
        if marker == _JPEG_START_OF_SCAN:
            found = _JPEG_MARKER_IN_SCAN.search(data, end)
            if found is None:
                return
            end = found.start()
        at = end


def tiff_fields(data: bytes) -> Iterator[tuple[int, int | None]]:
    """Tag and number of every field of a TIFF file's first page; None for what is no whole number.

    Raises:
        struct.error, OverflowError: it is cut or damaged (see `UNREADABLE`).
    """
    order, start, end, size, value = _tiff_page(data)
    for at in range(start, min(end, len(data)), size):
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        number = _TIFF_NUMBERS.get(kind)
        yield tag, None if number is None else struct.unpack_from(order + number, data, at + value)[0]


def tiff_has_more_pages(data: bytes) -> bool:
    """Whether a second page follows the first; raises as `tiff_fields`."""
    order, _, end, size, _ = _tiff_page(data)
    return struct.unpack_from(order + ("Q" if size == 20 else "I"), data, end)[0] != 0


def _tiff_page(data: bytes) -> tuple[str, int, int, int, int]:
    """Byte order, where the fields of the first page begin and end, the size of one, and where its value begins."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    offset, count, value, size = ("Q", "Q", 12, 20) if big else ("I", "H", 8, 12)
    first = struct.unpack_from(order + offset, data, 8 if big else 4)[0]
    start = first + struct.calcsize(order + count)
    return order, start, start + size * struct.unpack_from(order + count, data, first)[0], size, value


_Size = tuple[int, int]


def _png(data: bytes) -> _Size:
    return struct.unpack_from(">II", data, 16)


def _jpeg(data: bytes) -> _Size | None:
    for marker, start, _ in jpeg_segments(data):
        if marker in _JPEG_FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, start + 3)
            return width, height
    return None


def _bmp(data: bytes) -> _Size | None:
    kind = struct.unpack_from("<I", data, 14)[0]
    if kind not in _BMP_HEADERS:  # any text may begin with BM
        return None
    width, height = struct.unpack_from("<HH" if kind == 12 else "<ii", data, 18)
    return abs(width), abs(height)


def _gif(data: bytes) -> _Size:
    return struct.unpack_from("<HH", data, 6)


def _webp(data: bytes) -> _Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", data, 24)
        return (high_w << 16 | low_w) + 1, (high_h << 16 | low_h) + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> _Size | None:
    """Of the first page: the largest that any of its fields names, since the decoder makes room for a whole tile."""
    width = height = 0
    for tag, number in tiff_fields(data):
        if tag not in (*_TIFF_WIDTHS, *_TIFF_HEIGHTS):
            continue
        if number is None:
            return None
        if tag in _TIFF_WIDTHS:
            width = max(width, number)
        elif number != _TIFF_ALL_ROWS:
            height = max(height, number)
    return (width, height) if width and height else None


def _netpbm(data: bytes) -> _Size | None:
    found = _NETPBM.match(data)
    return None if found is None else (int(found[1]), int(found[2]))


_READERS: Final[tuple[tuple[str, re.Pattern[bytes], Callable[[bytes], _Size | None]], ...]] = (
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    ("JPEG", re.compile(rb"\xff\xd8"), _jpeg),
    ("BMP", re.compile(rb"BM"), _bmp),
    ("GIF", re.compile(rb"GIF8[79]a"), _gif),
    ("WebP", re.compile(rb"RIFF[\x00-\xff]{4}WEBP"), _webp),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), _tiff),
    ("PBM, PGM or PPM", _NETPBM, _netpbm),
)

FORMATS: Final = tuple(name for name, _, _ in _READERS)
"""The formats that are decoded: those that tell their size before a pixel is."""
