"""`load_image`, `as_rgb`, `save_image`: whatever the file or array, HxWx3 uint8 RGB or a clear `ImageError`."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aue_crl_core.errors import ImageError, OutputError
from aue_crl_core.media.reading.pixels import as_rgb, load_image, load_picture, save_image


def write(path, image, *options):
    """Write `image` as cv2 does (BGR or BGRA)."""
    assert cv2.imwrite(str(path), image, list(options))
    return path


def test_a_photograph_is_rgb(photograph_path, photograph):
    image = load_image(photograph_path)
    assert image.dtype == np.uint8
    assert image.shape == (600, 512, 3)
    np.testing.assert_array_equal(image, photograph)
    sky = image[100:200, 450:500].reshape(-1, 3).mean(axis=0)
    assert sky[2] > sky[0] + 30, "the sky on the right is blue, which is the last channel"


def test_a_path_may_be_text(photograph_path, photograph):
    np.testing.assert_array_equal(load_image(str(photograph_path)), photograph)


def test_grey_becomes_three_equal_channels(tmp_path, photograph):
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    image = load_image(write(tmp_path / "grey.png", grey))
    for channel in range(3):
        np.testing.assert_array_equal(image[..., channel], grey)


def test_alpha_is_dropped_and_the_colour_under_it_kept(tmp_path, photograph):
    transparent = np.dstack([photograph[..., ::-1], np.zeros(photograph.shape[:2], np.uint8)])
    np.testing.assert_array_equal(load_image(write(tmp_path / "alpha.png", transparent)), photograph)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_is_scaled_by_257(tmp_path, photograph, suffix):
    deep = photograph[..., ::-1].astype(np.uint16) * 257
    np.testing.assert_array_equal(load_image(write(tmp_path / f"deep{suffix}", deep)), photograph)


def test_cmyk_jpeg_has_the_colours_of_the_rgb_one(tmp_path, photograph):
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(photograph).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    image = load_image(tmp_path / "cmyk.jpg")
    assert np.abs(image.astype(int) - photograph).mean() < 4


def test_1x1_is_an_image(tmp_path):
    image = load_image(write(tmp_path / "dot.png", np.array([[[10, 20, 30]]], np.uint8)))
    assert image.tolist() == [[[30, 20, 10]]]


def test_exif_orientation_turns_the_image_upright(tmp_path, photograph_path, photograph):
    tiff = b"MM\x00*\x00\x00\x00\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\x00\x00" + tiff
    data = photograph_path.read_bytes()
    (tmp_path / "turned.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    np.testing.assert_array_equal(load_image(tmp_path / "turned.jpg"), np.rot90(photograph, -1))


def webp_chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize("before", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_webp_is_turned_by_its_exif_orientation_as_a_jpeg_is(tmp_path, photograph, orientation, before):
    small = np.ascontiguousarray(photograph[60:90, 190:230, ::-1])
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    pixels = cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()[12:]
    head = webp_chunk(b"VP8X", b"\x08\0\0\0" + struct.pack("<HBHB", 39, 0, 29, 0))
    content = b"WEBP" + head + pixels + webp_chunk(b"EXIF", before + tiff)
    (tmp_path / "turned.webp").write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content)
    jpeg, exif = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes(), b"Exif\0\0" + tiff
    (tmp_path / "turned.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    image, expected = load_image(tmp_path / "turned.webp"), load_image(tmp_path / "turned.jpg")
    assert np.abs(image.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_few_bits_stored_in_16_are_stretched_whatever_a_hot_pixel_says(tmp_path, photograph, bits):
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    deep = np.round(grey * ((2**bits - 1) / 255)).astype(np.uint16)
    deep[7, 7] = 65535
    image = load_image(write(tmp_path / "camera.png", deep))
    assert image[7, 7].tolist() == [255, 255, 255]
    image[7, 7] = grey[7, 7]
    assert np.abs(image[..., 0].astype(int) - grey).max() <= 1


def test_a_black_16_bit_picture_stays_black(tmp_path):
    assert load_image(write(tmp_path / "cap.png", np.zeros((4, 5), np.uint16))).max() == 0


def test_a_jpeg_beyond_the_bound_is_read_at_half_size_where_that_is_allowed(photograph_path, photograph):
    whole = load_picture(photograph_path)
    assert (whole.scale, whole.notes) == (1, ())
    np.testing.assert_array_equal(whole.image, photograph)
    half = load_picture(photograph_path, max_pixels=100_000)
    assert (half.image.shape, half.scale) == ((300, 256, 3), 2)
    assert np.abs(half.image - cv2.resize(photograph, (256, 300), interpolation=cv2.INTER_AREA).astype(int)).mean() < 3
    assert "was read at half its width and height" in half.notes[0]
    with pytest.raises(ImageError, match=r"0\.3 megapixels, at most 0\.28"):
        load_picture(photograph_path, max_pixels=70_000)


def test_other_kinds_are_not_reduced(tmp_path, photograph):
    with pytest.raises(ImageError, match=r"at most 0\.1 are read"):
        load_picture(write(tmp_path / "photo.png", photograph), max_pixels=100_000)


@pytest.mark.parametrize("suffix", [".tiff", ".png", ".webp"])
def test_a_file_of_several_pictures_says_that_one_was_read(tmp_path, photograph, suffix):
    pillow = pytest.importorskip("PIL.Image")
    first, second = (pillow.fromarray(np.ascontiguousarray(part)) for part in (photograph[:90], photograph[90:180]))
    first.save(tmp_path / f"one{suffix}", lossless=True)
    first.save(tmp_path / f"two{suffix}", save_all=True, append_images=[second], lossless=True)
    assert load_picture(tmp_path / f"one{suffix}").notes == ()
    picture = load_picture(tmp_path / f"two{suffix}")
    np.testing.assert_array_equal(picture.image, photograph[:90])
    assert "holds several pictures or a moving one; the first was read" in picture.notes[0]


def test_a_bigtiff_of_several_pages_says_so_too(tmp_path, photograph):
    pillow = pytest.importorskip("PIL.Image")
    first, second = (pillow.fromarray(np.ascontiguousarray(part)) for part in (photograph[:90], photograph[90:180]))
    first.save(tmp_path / "one.tif", big_tiff=True)
    first.save(tmp_path / "two.tif", big_tiff=True, save_all=True, append_images=[second])
    assert load_picture(tmp_path / "one.tif").notes == ()
    picture = load_picture(tmp_path / "two.tif")
    np.testing.assert_array_equal(picture.image, photograph[:90])
    assert len(picture.notes) == 1


def test_a_heic_with_a_sequence_says_that_the_main_picture_was_read(tmp_path):
    pytest.importorskip("av")
    still = (Path(__file__).parents[3] / "data" / "portrait.heic").read_bytes()
    (tmp_path / "moving.heic").write_bytes(still.replace(b"mif1", b"msf1", 1))
    assert "the first was read, or the main one" in load_picture(tmp_path / "moving.heic").notes[0]


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match=r"nothing\.jpg does not exist"):
        load_image(tmp_path / "nothing.jpg")


def test_folder_is_no_image(tmp_path):
    with pytest.raises(ImageError, match="cannot be read as a file"):
        load_image(tmp_path)


def test_empty_file(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg is empty \(0 bytes\)"):
        load_image(tmp_path / "empty.jpg")


@pytest.mark.parametrize("content", [b"name,label\n", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n", b"\x00" * 999])
def test_no_image(tmp_path, content):
    (tmp_path / "notes.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"notes\.jpg is not a"):
        load_image(tmp_path / "notes.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_truncated_image_is_reported_not_half_grey(tmp_path, photograph, suffix, share):
    path = write(tmp_path / f"cut{suffix}", photograph[..., ::-1])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match="cut"):
        load_image(path)


def test_a_100_megapixel_jpeg_is_refused_with_the_bound(tmp_path, photograph):
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    path = write(tmp_path / "huge.jpg", np.tile(grey, (17, 20))[:10_000, :10_000])
    with pytest.raises(ImageError, match=r"10000x10000 = 100\.0 megapixels, at most 64 .* scale it down"):
        load_image(path)
    assert load_image(path, max_pixels=100_000_000).shape == (10_000, 10_000, 3)


def test_a_png_is_measured_before_it_is_decoded(tmp_path, photograph):
    path = write(tmp_path / "huge.png", photograph)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 50_000)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"60000x50000 = 3000.0 megapixels"):
        load_image(path)


def test_the_bound_is_the_callers(tmp_path, photograph):
    path = write(tmp_path / "photo.tiff", photograph)
    with pytest.raises(ImageError, match=r"512x600 = 0.3 megapixels, at most 0.1 are read"):
        load_image(path, max_pixels=100_000)


def test_rgb_arrays_pass_through_unchanged(photograph):
    assert as_rgb(photograph) is photograph


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_the_same_grey_in_every_type_gives_the_same_rgb(grey):
    expected = np.dstack([grey] * 3)
    variants = [grey, grey[..., None], grey.astype(np.uint16) * 257, (grey / 255).astype(np.float32), grey / 255]
    variants.append(np.dstack([grey, grey, grey, np.zeros_like(grey)]))
    for variant in variants:
        rgb = as_rgb(variant)
        assert rgb.flags.c_contiguous
        np.testing.assert_array_equal(rgb, expected)


@given(st.integers(0, 65535))
def test_16_bit_values_are_rounded_to_the_nearest(value):
    assert as_rgb(np.full((1, 1), value, np.uint16))[0, 0, 0] == round(value / 257)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 48, 64), np.uint8), r"got shape \(3, 48, 64\); move the channels last"),
        (np.zeros((4, 4, 2), np.uint8), r"HxWx4, got shape \(4, 4, 2\)"),
        (np.zeros(5, np.uint8), r"got shape \(5,\)"),
        (np.zeros((0, 7, 3), np.uint8), "at least one pixel"),
        (np.zeros((4, 4, 3), np.int64), "got int64"),
        (np.zeros((4, 4, 3), bool), "got bool"),
        (np.full((4, 4, 3), np.nan), "NaN"),
        (np.full((4, 4, 3), np.inf, np.float32), "finite"),
        (np.full((4, 4, 3), 200.0), r"got \[200, 200\]; divide by 255"),
        (np.full((4, 4, 3), -0.5), r"got \[-0.5, -0.5\]"),
    ],
)
def test_arrays_that_are_no_image(array, message):
    with pytest.raises(ImageError, match=message):
        as_rgb(array)


def test_what_is_saved_is_loaded(tmp_path, photograph):
    save_image(tmp_path / "new folder" / "photo.png", photograph)
    np.testing.assert_array_equal(load_image(tmp_path / "new folder" / "photo.png"), photograph)


def test_saving_needs_an_image_suffix(tmp_path, photograph):
    with pytest.raises(ImageError, match=r"for example \.png or \.jpg, got '\.doc'"):
        save_image(tmp_path / "photo.doc", photograph)


def test_saving_where_a_file_is_in_the_way(tmp_path, photograph):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        save_image(tmp_path / "file" / "photo.png", photograph)
