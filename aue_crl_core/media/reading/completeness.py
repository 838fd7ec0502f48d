"""Does a file hold all the bytes that it promises? Decoders differ here, and some return half a picture in silence.

Formats: PNG (W3C PNG, 5.3), JPEG (ITU-T T.81, annex B), BMP; ISO base media (14496-12, 4.2), RIFF, Matroska (RFC 9559).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from aue_crl_core.media.reading.headers import JPEG_END, jpeg_segments

_EBML, _MATROSKA_SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def image_damage(data: bytes) -> str | None:
    """Why PNG, JPEG, BMP or WebP bytes can't be whole ("ends before ..."); None when they are, or of another kind."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_damage(data)
    if data[:2] == b"\xff\xd8":
        whole = any(marker == JPEG_END for marker, _, _ in jpeg_segments(data))
        return None if whole else "ends before its end-of-image marker"
    promised = 0
    if data[:4] == b"RIFF" and len(data) >= 8:
        promised = 8 + struct.unpack("<I", data[4:8])[0]
    elif data[:2] == b"BM" and len(data) >= 34 and data[14:18] != b"\x0c\0\0\0":
        start, width, height = struct.unpack("<I4xii", data[10:26])
        bits, compression = struct.unpack("<HI", data[28:34])
        promised = start + (abs(width) * bits + 31) // 32 * 4 * abs(height) if compression == 0 else 0
    return f"ends before byte {promised}, as its header says it should" if promised > len(data) else None


def missing_bytes(path: Path) -> int:
    """Bytes that an MP4, MOV, AVI or Matroska file lacks of what its outermost boxes promise; 0 if none or unknown."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        promised = size
        if head[:4] == b"RIFF" and len(head) >= 8:
            promised = 8 + struct.unpack("<I", head[4:8])[0]
        elif head[:4] == _EBML:
            promised = _matroska_size(head + file.read(4096)) or size
        elif head[4:8] == b"ftyp":
            promised = 0
            while promised < size:
                file.seek(promised)
                box = file.read(16)
                if len(box) < 8:
                    return 8 - len(box)
                length = struct.unpack(">I", box[:4])[0]
                if length == 1 and len(box) == 16:
                    length = struct.unpack(">Q", box[8:])[0]
                if length < 8:  # 0: up to the end of the file
                    return 0
                promised += length
    return max(0, promised - size)


def _png_damage(data: bytes) -> str | None:
    at = 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            return f"has a damaged {kind.decode('latin-1')} chunk (its checksum is wrong)"
        if kind == b"IEND":
            return None
        at = end
    return "ends before its IEND chunk"


def _matroska_size(head: bytes) -> int | None:
    """EBML header plus segment, in bytes; None where the segment's size is unknown (a live recording)."""
    length, at = _variable_length(head, 4)
    if length is None:
        return None
    at += length
    if head[at : at + 4] != _MATROSKA_SEGMENT:
        return None
    length, at = _variable_length(head, at + 4)
    return None if length is None else at + length


def _variable_length(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML size (RFC 8794, 6) and where it ends; None when all its bits are set (unknown) or it is cut."""
    if at >= len(data) or data[at] == 0:
        return None, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), at + width
