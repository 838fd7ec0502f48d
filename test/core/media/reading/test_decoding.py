"""Compressed bytes become pixels or an `ImageError`, and no few bytes ask for gigabytes."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.decoding import decode_image, opencv_errors

SUFFIXES = (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm")
PICTURE = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
ENCODED = {suffix: cv2.imencode(suffix, PICTURE)[1].tobytes() for suffix in SUFFIXES}
EMPTY_GIF = b"GIF89a" + struct.pack("<HHBBB", 32_000, 32_000, 0x80, 0, 0) + bytes(6) + b"," + bytes(9) + b"\2\2L\1\0;"


def test_an_empty_gif_of_35_bytes_takes_no_gigabytes():
    with pytest.raises(ImageError, match=r"the picture has 32000x32000 = 1024\.0 megapixels, at most 64 are read"):
        decode_image(EMPTY_GIF, cv2.IMREAD_COLOR, "the picture")


@pytest.mark.parametrize(
    "data",
    [
        b"PF\n3 3\n-1\n" + bytes(108),
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n" + bytes(99),
        b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nENDHDR\n" + bytes(99),
    ],
)
def test_a_format_that_is_not_measured_is_refused(data):
    with pytest.raises(
        ImageError, match=r"not a picture of a kind that is read \(PNG, JPEG, .* save it as PNG or JPEG"
    ):
        decode_image(data, cv2.IMREAD_COLOR, "the picture")


@pytest.mark.parametrize("error", [cv2.error("no such\ncode"), MemoryError()])
def test_what_opencv_raises_is_an_image_error(error, monkeypatch):
    monkeypatch.delattr(cv2.error, "err", raising=False)  # OpenCV leaves what its last error said at the class
    with (
        pytest.raises(ImageError, match=r"the picture cannot be decoded: no (such code|memory)"),
        opencv_errors("the picture"),
    ):
        raise error


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(data=st.data())
@settings(max_examples=25)
def test_damaged_bytes_give_pixels_or_an_image_error(suffix, data):
    content = bytearray(ENCODED[suffix])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    flags = data.draw(st.sampled_from([cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH]))
    try:
        pixels = decode_image(bytes(content[: data.draw(st.integers(1, len(content)))]), flags, "it", 1_000_000)
    except ImageError:
        return
    assert 0 < pixels.shape[0] * pixels.shape[1] <= 1_000_000
