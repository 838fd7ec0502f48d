"""The size of every format that is decoded is known before a pixel is; what hides it has none."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aue_crl_core.media.reading.headers import FORMATS, ImageHeader, read_header

NETPBM = "PBM, PGM or PPM"
WRITTEN = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "BMP": ".bmp",
    "WebP": ".webp",
    "TIFF": ".tiff",
    NETPBM: ".ppm",
}


@pytest.fixture(scope="module")
def encoded(photograph):
    return {name: cv2.imencode(suffix, photograph)[1].tobytes() for name, suffix in WRITTEN.items()}


def gif(width: int, height: int) -> bytes:
    """One empty frame, 35 bytes, whose canvas is as large as it says."""
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + bytes(6)
        + b",%b\x00\x02\x02L\x01\x00;" % bytes(8)
    )


def tiff(order: str, *fields: tuple[int, int], big: bool = False) -> bytes:
    head = {"<": b"II", ">": b"MM"}[order]
    if big:
        head += struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(fields))
        return head + b"".join(struct.pack(f"{order}HHQQ", tag, 16, 1, value) for tag, value in fields)
    head += struct.pack(f"{order}HIH", 42, 8, len(fields))
    return head + b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in fields)


def webp(kind: bytes, content: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(content) + 12) + b"WEBP" + kind + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize("name", WRITTEN)
def test_a_photograph_is_as_large_in_every_format(encoded, name):
    assert read_header(encoded[name]) == ImageHeader(name, 512, 600)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (gif(32_000, 31_000), ImageHeader("GIF", 32_000, 31_000)),
        (webp(b"VP8X", bytes(4) + b"\xff\xff\xff\x0f\x27\0"), ImageHeader("WebP", 2**24, 10_000)),
        (webp(b"VP8L", b"\x2f" + struct.pack("<I", 16_000 | 15_000 << 14)), ImageHeader("WebP", 16_001, 15_001)),
        (webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 16_000, 900)), ImageHeader("WebP", 16_000, 900)),
        (tiff("<", (256, 30_000), (257, 20_000)), ImageHeader("TIFF", 30_000, 20_000)),
        (tiff(">", (256, 3), (257, 4), (278, 2**32 - 1)), ImageHeader("TIFF", 3, 4)),
        (tiff("<", (256, 3), (257, 4), (278, 10**8)), ImageHeader("TIFF", 3, 10**8)),
        (tiff(">", (256, 3), (257, 4), (322, 65_536), (323, 32_768)), ImageHeader("TIFF", 65_536, 32_768)),
        (tiff("<", (256, 10**6), (257, 10**5), big=True), ImageHeader("TIFF", 10**6, 10**5)),
        (b"P5 # a comment\n 70000 # another\n#\n 80000\n255\n", ImageHeader(NETPBM, 70_000, 80_000)),
        (b"BM" + bytes(12) + struct.pack("<IHH", 12, 60_000, 50_000), ImageHeader("BMP", 60_000, 50_000)),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 60_000, -50_000), ImageHeader("BMP", 60_000, 50_000)),
    ],
)
def test_what_a_few_bytes_promise(data, header):
    assert read_header(data) == header


@pytest.mark.parametrize("marker", [0x01, 0xD0, 0xD7])
def test_a_jpeg_marker_without_a_length_hides_no_frame_header(marker):
    small = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 1, 1)
    large = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 60_000, 50_000)
    data = b"\xff\xd8\xff" + bytes([marker]) + large
    assert read_header(data + bytes(0xFFC0 - len(large)) + small) == ImageHeader("JPEG", 50_000, 60_000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PF\n3 3\n-1\n" + bytes(108),
        b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nENDHDR\n",
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n",
        b"\0\0\0\x1cftypavif" + bytes(40),
        b"\x76\x2f\x31\x01" + bytes(40),
        b"\xff\x4f\xff\x51" + bytes(4) + struct.pack(">II", 90, 80),
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
        b"II+\0" + struct.pack("<HHQ", 8, 0, 2**64 - 1),
        b"BM is how this text begins, whose name has no ending",
        b"P5 12#30000\n 5 255\n",
        b"P5 99999999999 1\n255\n",
        b"\xff\xd8\xff\xd9",
    ],
)
def test_what_does_not_tell_its_size_has_none(data):
    assert read_header(data) is None


@given(st.sampled_from(FORMATS), st.floats(0, 1), st.binary(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_bytes_are_safe_to_ask_about(encoded, name, share, tail):
    data = encoded.get(name, gif(3, 3))[:2000]
    for content in (data[: int(share * len(data))] + tail, data[: int(60 * share)] + tail, tail):
        header = read_header(content)
        assert header is None or (header.width >= 0 and header.height >= 0)


@pytest.mark.parametrize("name", WRITTEN)
@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
def test_the_decoder_never_makes_more_of_it_than_the_header_says(encoded, name, data):
    content = bytearray(cv2.imencode(WRITTEN[name], np.full((40, 50, 3), 90, np.uint8))[1].tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 200) - 1))] = data.draw(st.integers(0, 255))
    header = read_header(bytes(content))
    if header is None or header.width * header.height > 1_000_000:
        return
    try:
        pixels = cv2.imdecode(np.frombuffer(bytes(content), np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return
    assert pixels is None or pixels.shape[0] * pixels.shape[1] <= header.width * header.height
