"""Whatever a compressed image holds, a picture or an `ImageError` comes out of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core.errors import ImageError
from aue_crl_ros.messages.image_decoding import compressed_image


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


PIXELS = np.arange(9 * 8 * 3, dtype=np.uint8).reshape(9, 8, 3)
PICTURES = [encoded(suffix, PIXELS) for suffix in (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm")]
PICTURES += [encoded(".tiff", PIXELS.astype(kind)) for kind in (np.uint16, np.float32, np.float64)]


@pytest.mark.parametrize("text", ["bayer_rggb8; x", "bayer_gbrg8", "jpeg"])
@pytest.mark.parametrize(
    "data",
    [
        b"PF\n3 3\n-1\n" + bytes(108),
        encoded(".tiff", np.zeros((3, 3, 3), np.float32)),
        encoded(".tiff", np.zeros((3, 3, 3), np.float64)),
        encoded(".png", np.zeros((3, 3, 4), np.uint16)),
        encoded(".ppm", np.zeros((3, 3, 3), np.uint8)),
    ],
)
def test_a_colour_picture_under_a_bayer_format_is_a_picture_or_an_image_error(text, data):
    try:
        image = compressed_image(text, data)
    except ImageError:
        return
    assert image.shape == (3, 3, 3)


def test_a_format_of_thousands_of_letters_is_not_told_in_full():
    with pytest.raises(ImageError) as refusal:
        compressed_image("x" * 100_000, b"junk")
    assert len(str(refusal.value)) < 400


@given(st.sampled_from(["bayer_rggb8; x", "bayer_bggr16; png compressed ", "jpeg", ""]), st.data())
@settings(max_examples=150)
def test_a_damaged_picture_is_a_picture_or_an_image_error(text, data):
    content = bytearray(data.draw(st.sampled_from(PICTURES)))
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = compressed_image(text, bytes(content))
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
