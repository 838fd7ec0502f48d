"""HEIC and AVIF: what phones write becomes upright RGB, and no few bytes ask for gigabytes."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from heif_files import box, encoded, full, heif
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.decoding import decode_heif, decode_image
from aue_crl_core.media.reading.heif import HeifFile, is_heif
from aue_crl_core.media.reading.pixels import load_image

PORTRAIT = Path(__file__).parents[3] / "data" / "portrait.heic"
"""Written by libheif 1.23 from portrait.jpg, scaled to 136x160, lying on its side, with the turn that stands it up."""


def difference(a, b):
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


@pytest.fixture(scope="module")
def picture(photograph):
    """128x64 (HxW): more than one tile of 64x64."""
    return cv2.resize(photograph[60:316, 190:318], (64, 128), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def tiles(picture, tmp_path_factory):
    """Coded halves of `picture`, by format."""
    folder = tmp_path_factory.mktemp("tiles")
    return {kind: [encoded(half, kind, folder) for half in (picture[:64], picture[64:])] for kind in ("HEIC", "AVIF")}


def test_a_picture_of_libheif_stands_upright(photograph):
    image = load_image(PORTRAIT)
    assert difference(image, cv2.resize(photograph, (136, 160), interpolation=cv2.INTER_AREA)) < 6


def test_a_picture_is_known_by_its_content(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(PORTRAIT.read_bytes())
    np.testing.assert_array_equal(load_image(tmp_path / "photo.jpg"), load_image(PORTRAIT))


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_tiles_are_put_together_and_cut_to_the_canvas(tiles, picture, kind):
    data = heif(tiles[kind], kind, (64, 64), canvas=(60, 101))
    assert (HeifFile(data, "it").width, HeifFile(data, "it").height) == (60, 101)
    assert difference(decode_heif(data, "it"), picture[:101, :60]) < 6


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ([box(b"irot", b"\1")], lambda image: np.rot90(image)),
        ([box(b"imir", b"\0")], lambda image: image[::-1]),
        ([box(b"imir", b"\1")], lambda image: image[:, ::-1]),
        ([box(b"irot", b"\3"), box(b"imir", b"\1")], lambda image: np.rot90(image, 3)[:, ::-1]),
        ([box(b"clap", struct.pack(">IIIIiIiI", 30, 1, 41, 1, -17, 1, -23, 2))], lambda image: image[:41, :30]),
    ],
)
def test_turns_mirrors_and_cuts_are_made_in_their_order(tiles, picture, properties, expected):
    data = heif(tiles["HEIC"][:1], "HEIC", (64, 64), properties=properties)
    assert difference(decode_heif(data, "it"), expected(picture[:64])) < 6


def test_the_files_word_on_its_colours_is_heeded(tiles, picture):
    full_range = box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80))
    narrow = decode_heif(heif(tiles["AVIF"][:1], "AVIF", (64, 64)), "it").astype(float)
    wide = decode_heif(heif(tiles["AVIF"][:1], "AVIF", (64, 64), properties=[full_range]), "it").astype(float)
    assert wide.std() < 0.9 * narrow.std(), "the codec's data say 16 to 235"


def test_a_size_is_read_before_anything_is_decoded(tiles):
    data = heif(tiles["HEIC"][:1], "HEIC", (60_000, 50_000))
    with pytest.raises(ImageError, match=r"60000x50000 = 3000\.0 megapixels, at most 64"):
        decode_heif(data, "it")


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_coded_data_larger_than_the_file_says_are_not_decoded(tiles, kind):
    with pytest.raises(ImageError, match="it cannot be decoded"):
        decode_heif(heif(tiles[kind][:1], kind, (32, 32)), "it", max_pixels=2_000)


def test_a_tile_smaller_than_it_says_is_damage(tiles):
    with pytest.raises(ImageError, match="is not of the size that it says"):
        decode_heif(heif(tiles["HEIC"][:1], "HEIC", (65, 65)), "it")


def test_places_without_end_take_no_memory(tiles):
    """65 535 pieces of no bytes for every item, in two bytes of file each."""
    good = heif(tiles["HEIC"][:1], "HEIC", (64, 64))
    start = good.index(b"iloc") - 4
    length = struct.unpack(">I", good[start : start + 4])[0]
    places = full(b"iloc", struct.pack(">HH", 0, 500), struct.pack(">HHH", 1, 0, 0xFFFF) * 500)
    tracemalloc.start()
    with pytest.raises(ImageError, match="not a whole HEIC or AVIF file"):
        HeifFile(good[:start] + places + good[start + length :], "it")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_what_is_not_read_is_named(tiles):
    data = heif(tiles["HEIC"][:1], "HEIC", (64, 64)).replace(b"hvc1", b"j2k1")
    with pytest.raises(ImageError, match="of the kind 'j2k1'; HEVC, AV1 and grids of them are read"):
        decode_heif(data, "it")


def test_messages_carry_none(tiles):
    with pytest.raises(ImageError, match="not a picture of a kind that is read"):
        decode_image(PORTRAIT.read_bytes(), cv2.IMREAD_COLOR, "a message's picture")


def test_a_film_is_none():
    assert not is_heif(box(b"ftyp", b"isom", bytes(4), b"mp42"))
    assert is_heif(box(b"ftyp", b"msf1", bytes(4), b"hevcmif1"))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_cut_file_is_reported(share):
    data = PORTRAIT.read_bytes()
    with pytest.raises(ImageError, match=r"cut short or damaged|cannot be decoded|is damaged"):
        decode_heif(data[: int(len(data) * share)], "it")


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_bytes_give_pixels_or_an_image_error(data):
    content = bytearray(PORTRAIT.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 600))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_heif(bytes(content), "it", 1_000_000)
    except ImageError:
        return
    assert pixels.shape[0] * pixels.shape[1] <= 1_000_000
