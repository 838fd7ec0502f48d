"""Image messages become the RGB picture that the camera saw, or an `ImageError` that says what is wrong with them."""

from __future__ import annotations

import array
import sys
import types

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.errors import ImageError
from aue_crl_ros.messages.image_decoding import ENCODINGS, compressed_image, pending_frame, raw_image

MOSAICS = ("rggb", "bggr", "gbrg", "grbg")
ORDERS = {"rgb": [0, 1, 2], "bgr": [2, 1, 0], "rgba": [0, 1, 2, 0], "bgra": [2, 1, 0, 0]}
NAMED_ORDERS = {
    "8UC1": "mono8",
    "8UC3": "bgr8",
    "8UC4": "bgra8",
    "16UC1": "mono16",
    "16UC3": "bgr16",
    "16UC4": "bgra16",
}
PACKED = sorted({f"{order}{bits}" for order in ORDERS for bits in (8, 16)} | {"mono8", "mono16"} | set(NAMED_ORDERS))
YUV_422 = {"uyvy": "UYVY", "yuv422": "UYVY", "yuyv": "YUYV", "yuv422_yuy2": "YUYV"}


def padded(rows: np.ndarray, padding: int) -> tuple[int, bytes]:
    """(step, data) of HxB bytes with `padding` bytes of 0xAA after every row."""
    full = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAA)
    return full.shape[1], full.tobytes()


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """What a sensor behind a filter of that pattern (row by row from the top left) sees: HxW."""
    seen = np.empty(rgb.shape[:2], rgb.dtype)
    for index, colour in enumerate(pattern):
        row, column = divmod(index, 2)
        seen[row::2, column::2] = rgb[row::2, column::2, "RGB".index(colour)]
    return seen


def yuv(rgb: np.ndarray) -> np.ndarray:
    """BT.601 limited range, HxWx3 uint8."""
    matrix = np.array([[65.738, 129.057, 25.064], [-37.945, -74.494, 112.439], [112.439, -94.154, -18.285]]) / 256
    return np.round(rgb @ matrix.T + (16, 128, 128)).clip(0, 255).astype(np.uint8)


def packed(rgb: np.ndarray, encoding: str, bigendian: bool = False) -> np.ndarray:
    """HxB bytes; mono encodings take the red channel, 16-bit ones are 257 times the value."""
    name = NAMED_ORDERS.get(encoding, encoding)
    order = [0] if name.startswith("mono") else ORDERS[name.rstrip("0123456789")]
    samples = rgb[:, :, order]
    if name.endswith("16"):
        samples = (samples.astype(np.uint16) * 257).astype(">u2" if bigendian else "<u2")
    return np.ascontiguousarray(samples).view(np.uint8).reshape(rgb.shape[0], -1)


def random_rgb(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


sides = st.integers(1, 9)
paddings = st.integers(0, 7)
seeds = st.integers(0, 10_000)


@given(st.sampled_from(PACKED), sides, sides, paddings, seeds, st.booleans())
def test_every_packed_encoding_size_and_padding_comes_back_exactly(encoding, height, width, padding, seed, bigendian):
    rgb = random_rgb(height, width, seed)
    step, data = padded(packed(rgb, encoding, bigendian), padding)
    grey = NAMED_ORDERS.get(encoding, encoding).startswith("mono")
    expected = np.repeat(rgb[:, :, :1], 3, axis=2) if grey else rgb
    image = raw_image(encoding, height, width, step, bigendian, data)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


@given(st.integers(0, 65_535), st.sampled_from((1, 2, 3)), st.booleans())
def test_16_bit_values_are_divided_by_257_and_rounded(value, width, bigendian):
    data = np.full(2 * width, value, ">u2" if bigendian else "<u2").tobytes()
    assert (raw_image("mono16", 2, width, 2 * width, bigendian, data) == round(value / 257)).all()


@given(
    st.sampled_from(MOSAICS),
    st.sampled_from((8, 16)),
    st.integers(3, 9),
    st.integers(3, 9),
    paddings,
    st.tuples(*[st.integers(0, 255)] * 3),
    st.booleans(),
)
def test_a_mosaic_of_one_colour_is_that_colour(name, bits, height, width, padding, colour, bigendian):
    rgb = np.full((height, width, 3), colour, np.uint8)
    seen = mosaic(rgb, name.upper())
    if bits == 16:
        seen = (seen.astype(np.uint16) * 257).astype(">u2" if bigendian else "<u2").view(np.uint8)
    step, data = padded(seen, padding)
    np.testing.assert_array_equal(raw_image(f"bayer_{name}{bits}", height, width, step, bigendian, data), rgb)


@pytest.mark.parametrize("name", MOSAICS)
def test_the_mosaic_of_a_photograph_gives_the_photograph_and_no_other_pattern_does(photograph, name):
    height, width = photograph.shape[:2]
    data = mosaic(photograph, name.upper()).tobytes()
    errors = {
        other: np.abs(raw_image(f"bayer_{other}8", height, width, width, False, data).astype(int) - photograph).mean()
        for other in MOSAICS
    }
    assert errors[name] < 5
    assert all(error > 2 * errors[name] for other, error in errors.items() if other != name)


@given(st.sampled_from(sorted(YUV_422)), sides, st.integers(1, 5), paddings, seeds)
def test_yuv_422_comes_back_within_rounding(encoding, height, half_width, padding, seed):
    rgb = np.repeat(random_rgb(height, half_width, seed), 2, axis=1)
    planes = yuv(rgb)
    first, second = planes[:, ::2], planes[:, 1::2]
    values = {"U": first[:, :, 1], "V": first[:, :, 2]}
    lumas = iter((first[:, :, 0], second[:, :, 0]))
    quads = np.stack([next(lumas) if letter == "Y" else values[letter] for letter in YUV_422[encoding]], axis=2)
    step, data = padded(quads.reshape(height, -1), padding)
    image = raw_image(encoding, height, 2 * half_width, step, False, data)
    np.testing.assert_allclose(image.astype(int), rgb, atol=4)


@given(st.sampled_from(("nv12", "nv21")), st.integers(1, 4), st.integers(1, 4), paddings, seeds)
def test_yuv_420_comes_back_within_rounding(encoding, half_height, half_width, padding, seed):
    rgb = random_rgb(half_height, half_width, seed).repeat(2, axis=0).repeat(2, axis=1)
    planes = yuv(rgb)
    chroma = planes[::2, ::2, [1, 2] if encoding == "nv12" else [2, 1]].reshape(half_height, -1)
    step, data = padded(np.concatenate([planes[:, :, 0], chroma]), padding)
    image = raw_image(encoding, 2 * half_height, 2 * half_width, step, False, data)
    np.testing.assert_allclose(image.astype(int), rgb, atol=4)


@given(sides, sides, paddings, seeds)
def test_yuv_444_comes_back_within_rounding(height, width, padding, seed):
    rgb = random_rgb(height, width, seed)
    planes = yuv(rgb)
    step, luma = padded(planes[:, :, 0], padding)
    _, chroma = padded(planes[:, :, 1:].reshape(height, -1), 2 * padding)
    np.testing.assert_allclose(raw_image("nv24", height, width, step, False, luma + chroma).astype(int), rgb, atol=4)


def test_every_encoding_is_covered_above():
    mosaics = {f"bayer_{name}{bits}" for name in MOSAICS for bits in (8, 16)}
    assert set(ENCODINGS) == set(PACKED) | mosaics | set(YUV_422) | {"nv12", "nv21", "nv24"}


@pytest.mark.parametrize("padding", [0, 5])
def test_rgb8_is_a_view_of_the_message_padded_or_not(padding):
    step, data = padded(packed(random_rgb(6, 7, 0), "rgb8"), padding)
    buffer = bytearray(data)
    image = raw_image("rgb8", 6, 7, step, False, buffer)
    buffer[2 * step + 3] ^= 0xFF
    assert image[2, 1, 0] == buffer[2 * step + 3]


@pytest.mark.parametrize(
    "container",
    [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, np.uint8)],
    ids=["bytes", "bytearray", "memoryview", "array", "numpy"],
)
def test_any_buffer_will_do(container):
    rgb = random_rgb(4, 5, 1)
    np.testing.assert_array_equal(raw_image("bgr8", 4, 5, 15, False, container(packed(rgb, "bgr8").tobytes())), rgb)


def test_padding_after_the_last_row_may_be_missing():
    rgb = random_rgb(4, 5, 1)
    step, data = padded(packed(rgb, "rgb8"), 3)
    np.testing.assert_array_equal(raw_image("rgb8", 4, 5, step, False, data[:-3]), rgb)
    with pytest.raises(ImageError, match="must have 72 bytes, got 68"):
        raw_image("rgb8", 4, 5, step, False, data[:-4])


@pytest.mark.parametrize(
    ("encoding", "height", "width", "step", "size", "words"),
    [
        ("rgb8", 4, 5, 15, 59, ("rgb8", "5x4", "must have 60 bytes, got 59")),
        ("rgb8", 4, 5, 15, 61, ("must have 60 bytes, got 61",)),
        ("rgb8", 4, 5, 15, 0, ("must have 60 bytes, got 0",)),
        ("bgr8", 4, 5, 14, 60, ("bgr8", "step of at least 15 bytes, got 14")),
        ("mono16", 4, 5, 5, 20, ("mono16", "step of at least 10 bytes, got 5")),
        ("rgba8", 0, 5, 20, 0, ("rgba8", "at least 1x1 pixels, got 5x0")),
        ("rgba8", 5, 0, 0, 0, ("at least 1x1 pixels, got 0x5",)),
        ("bayer_rggb8", 2, 8, 8, 16, ("bayer_rggb8", "at least 3x3 pixels, got 8x2")),
        ("bayer_grbg16", 8, 2, 4, 32, ("bayer_grbg16", "at least 3x3 pixels, got 2x8")),
        *[(name, 4, 5, 10, 40, (name, "even width, got 5x4")) for name in YUV_422],
        *[(name, 5, 4, 4, 30, (name, "even width and height, got 4x5")) for name in ("nv12", "nv21")],
        *[(name, 4, 5, 5, 30, (name, "even width and height, got 5x4")) for name in ("nv12", "nv21")],
        ("nv21", 4, 4, 4, 16, ("nv21", "must have 24 bytes, got 16")),
        ("nv24", 4, 4, 4, 16, ("nv24", "must have 48 bytes, got 16")),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_expected_and_got(encoding, height, width, step, size, words):
    with pytest.raises(ImageError) as caught:
        raw_image(encoding, height, width, step, False, bytes(size))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@given(
    st.one_of(st.sampled_from(ENCODINGS), st.text(max_size=8)),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 30),
    st.booleans(),
    st.binary(max_size=120),
)
def test_whatever_a_message_says_it_gives_a_picture_of_that_size_or_an_error(
    encoding, height, width, step, bigendian, data
):
    try:
        image = raw_image(encoding, height, width, step, bigendian, data)
    except ImageError:
        return
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8


def test_an_unknown_encoding_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(ImageError, match=r"must be one of rgb8, bgr8.*got 'infrared'"):
        raw_image("infrared", 2, 2, 2, False, bytes(4))


@pytest.fixture
def cv_bridge(monkeypatch):
    """A stand-in with cv_bridge's interface, which no pip package has: knows the encoding `inverted8` only."""

    class CvBridgeError(TypeError):
        pass

    class CvBridge:
        def imgmsg_to_cv2(self, message, desired_encoding):
            assert desired_encoding == "rgb8"
            if message.encoding != "inverted8":
                raise CvBridgeError(f"Unrecognized image encoding [{message.encoding}]")
            grey = 255 - np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, : message.width]
            return np.repeat(grey[:, :, None], 3, axis=2)

    module = types.ModuleType("cv_bridge")
    module.CvBridge, module.CvBridgeError = CvBridge, CvBridgeError
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


@pytest.mark.usefixtures("cv_bridge")
def test_encodings_beyond_the_table_are_left_to_cv_bridge():
    image = raw_image("inverted8", 2, 3, 4, False, bytes([0, 1, 2, 9, 3, 4, 5, 9]))
    assert image[:, :, 1].tolist() == [[255, 254, 253], [252, 251, 250]]
    with pytest.raises(ImageError, match=r"got 'infrared', which cv_bridge cannot convert either: Unrecognized"):
        raw_image("infrared", 2, 2, 2, False, bytes(4))


def test_of_a_long_encoding_or_format_sixty_letters_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    for refused in (lambda: raw_image("x" * 99, 2, 2, 2, False, bytes(4)), lambda: compressed_image("x" * 99, b"")):
        with pytest.raises(ImageError, match=r"[^x]x{60}[^x]"):
            refused()


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.mark.parametrize("text", ["png", "rgb8; png compressed bgr8", "bgr8; png compressed bgr8", ""])
def test_a_png_comes_back_exactly_whatever_its_format_string(photograph, text):
    np.testing.assert_array_equal(compressed_image(text, encoded(".png", photograph[:, :, ::-1])), photograph)


@pytest.mark.parametrize("container", [bytes, lambda b: array.array("B", b), lambda b: np.frombuffer(b, np.uint8)])
def test_a_jpeg_is_the_photograph_with_red_and_blue_in_their_places(photograph, container):
    image = compressed_image("rgb8; jpeg compressed bgr8", container(encoded(".jpg", photograph[:, :, ::-1])))
    assert np.abs(image.astype(int) - photograph).mean() < 2
    assert np.abs(image[:, :, ::-1].astype(int) - photograph).mean() > 10


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_becomes_three_equal_channels(photograph, suffix):
    image = compressed_image("mono8; compressed ", encoded(suffix, photograph[:, :, 1]))
    assert (image == image[:, :, :1]).all()
    assert np.abs(image[:, :, 0].astype(int) - photograph[:, :, 1]).mean() < 2


def test_16_bits_become_8_and_alpha_is_dropped(photograph):
    deep = encoded(".png", photograph[:, :, ::-1].astype(np.uint16) * 257)
    np.testing.assert_allclose(compressed_image("rgb16; png compressed bgr16", deep).astype(int), photograph, atol=1)
    grey = encoded(".png", photograph[:, :, 0].astype(np.uint16) * 257)
    np.testing.assert_allclose(compressed_image("mono16; png", grey)[:, :, 2].astype(int), photograph[:, :, 0], atol=1)
    clear = np.dstack([photograph[:, :, ::-1], np.full(photograph.shape[:2], 90, np.uint8)])
    np.testing.assert_array_equal(compressed_image("png", encoded(".png", clear)), photograph)


@pytest.mark.parametrize("name", MOSAICS)
def test_a_mosaic_compressed_as_grey_is_demosaicked_and_a_converted_one_is_not(photograph, name):
    seen = encoded(".png", mosaic(photograph, name.upper()))
    image = compressed_image(f"bayer_{name}8; png compressed ", seen)
    assert np.abs(image.astype(int) - photograph).mean() < 5
    converted = encoded(".png", photograph[:, :, ::-1])
    np.testing.assert_array_equal(compressed_image(f"bayer_{name}8; png compressed bgr8", converted), photograph)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (3, 2), (2, 3)])
def test_a_mosaic_compressed_as_grey_has_at_least_three_pixels_each_way(height, width):
    seen = encoded(".png", np.full((height, width), 70, np.uint8))
    if min(height, width) == 3:
        assert (compressed_image("bayer_rggb8; png compressed ", seen) == np.full((3, 3, 3), 70)).all()
    else:
        with pytest.raises(ImageError, match=r"a grey mosaic of at least 3x3 pixels, got shape"):
            compressed_image("bayer_rggb8; png compressed ", seen)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
def test_a_picture_that_was_cut_short_is_refused(photograph, suffix, part):
    data = encoded(suffix, photograph)
    with pytest.raises(ImageError, match=r"format 'jpeg'"):
        compressed_image("jpeg", data[: int(part * len(data))])


def test_a_png_with_damaged_bytes_is_refused(photograph):
    data = bytearray(encoded(".png", photograph))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="checksum is wrong"):
        compressed_image("png", bytes(data))


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00\x01h264", b"\xff\xd8\xff\xd9", b"GIF89a", bytes(400)])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(ImageError, match=r"a compressed image of format 'h264'"):
        compressed_image("h264", data)


def test_a_picture_of_more_pixels_than_memory_is_refused_before_it_is_decoded():
    data = bytearray(encoded(".png", np.zeros((2, 2), np.uint8)))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(ImageError, match=r"60000x60000 = 3600\.0 megapixels, at most 64 are read"):
        compressed_image("png", bytes(data))


@given(st.text(max_size=12), st.binary(max_size=60))
def test_no_bytes_pass_for_a_picture_silently(text, data):
    with pytest.raises(ImageError):
        compressed_image(text, data)


def message(**fields: object) -> types.SimpleNamespace:
    stamp = types.SimpleNamespace(sec=12, nanosec=34)
    header = types.SimpleNamespace(stamp=stamp, frame_id="camera")
    return types.SimpleNamespace(header=header, **fields)


def test_a_pending_frame_keeps_the_header_and_decodes_only_when_asked():
    rgb = random_rgb(4, 5, 2)
    raw = message(encoding="bgr8", height=4, width=5, step=15, is_bigendian=0, data=packed(rgb, "bgr8").tobytes())
    frame = pending_frame(raw, "/camera/image", compressed=False)
    assert (frame.camera, frame.stamp_ns, frame.face_id) == ("/camera/image", 12_000_000_034, "")
    assert frame.header is raw.header
    np.testing.assert_array_equal(frame.image(), rgb)


def test_a_bad_message_is_found_out_when_it_is_decoded_not_when_it_is_taken_in():
    frame = pending_frame(message(format="jpeg", data=b"junk"), "/humans/faces", compressed=True, face_id="abc")
    assert frame.face_id == "abc"
    with pytest.raises(ImageError):
        frame.image()


def test_frames_of_real_messages(photograph):
    interfaces = pytest.importorskip("aue_crl_ros.messages.interfaces")
    pytest.importorskip("rosbags")
    messages = interfaces.StoreMessages()
    stamp = messages.new("builtin_interfaces/msg/Time", sec=3, nanosec=5)
    header = messages.new("std_msgs/msg/Header", stamp=stamp, frame_id="camera")
    height, width = photograph.shape[:2]
    raw = messages.new(
        "sensor_msgs/msg/Image",
        header=header,
        height=height,
        width=width,
        encoding="bgr8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(photograph[:, :, ::-1]).ravel(),
    )
    jpeg = np.frombuffer(encoded(".jpg", photograph[:, :, ::-1]), np.uint8)
    small = messages.new("sensor_msgs/msg/CompressedImage", header=header, format="jpeg", data=jpeg)
    for compressed, kind, original in ((False, "Image", raw), (True, "CompressedImage", small)):
        name = f"sensor_msgs/msg/{kind}"
        received = messages.deserialize(name, messages.serialize(name, original))
        frame = pending_frame(received, "/camera", compressed)
        assert frame.stamp_ns == 3_000_000_005
        assert np.abs(frame.image().astype(int) - photograph).mean() < 2
