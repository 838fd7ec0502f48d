"""What an image file says besides its size: which way is up (Exif 2.32, 4.6.4), and whether other pictures follow."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from aue_crl_core.media.reading.headers import UNREADABLE, tiff_fields, tiff_has_more_pages
from aue_crl_core.media.reading.heif import is_heif, is_sequence

_ORIENTATION: Final = 0x0112
_FLIPS: Final = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}
"""Orientation -> axes to flip, of 5 to 8 after rows and columns were exchanged."""
_WEBP_IS_ANIMATED: Final = 2


def webp_orientation(data: bytes) -> int:
    """The EXIF orientation of a WebP file (RFC 9649, 2.7.1.5), 1 to 8; 1, which is upright, where it says none."""
    at = 12
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        if data[at : at + 4] == b"EXIF":
            exif = data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0")
            try:
                said = next((number for tag, number in tiff_fields(exif) if tag == _ORIENTATION), 1)
            except UNREADABLE:
                return 1
            return said if said in range(1, 9) else 1
        at += 8 + size + size % 2
    return 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """HxW or HxWxC turned (5 to 8: to WxH) and mirrored as its EXIF orientation asks for."""
    turned = image.swapaxes(0, 1) if orientation >= 5 else image
    return np.ascontiguousarray(np.flip(turned, _FLIPS.get(orientation, ())))


def holds_more(data: bytes) -> bool:
    """Whether a PNG, WebP, TIFF, HEIC or AVIF file has more than the one picture that is read of it."""
    try:
        if data[:4] == b"RIFF":
            return data[12:16] == b"VP8X" and bool(data[20] & _WEBP_IS_ANIMATED)
        if data[:4] in (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+"):
            return tiff_has_more_pages(data)
        if data[:4] == b"\x89PNG":
            control = data.find(b"acTL", 0, data.find(b"IDAT"))
            return control > 0 and struct.unpack_from(">I", data, control + 4)[0] > 1
    except UNREADABLE:
        return False
    return is_heif(data) and is_sequence(data)
