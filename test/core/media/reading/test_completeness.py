"""Every cut of a file is noticed, and nothing is made up about whole ones."""

from __future__ import annotations

import cv2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aue_crl_core.media.reading.completeness import image_damage, missing_bytes

SHARED_FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture(scope="module")
def encoded(photograph):
    return {suffix: cv2.imencode(suffix, photograph)[1].tobytes() for suffix in (".png", ".jpg", ".bmp", ".webp")} | {
        "progressive": cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(),
        "restarts": cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_RST_INTERVAL, 4])[1].tobytes(),
    }


@pytest.mark.parametrize("kind", [".png", ".jpg", ".bmp", "progressive", "restarts"])
def test_a_whole_image_has_no_damage(encoded, kind):
    assert image_damage(encoded[kind]) is None


def test_a_webp_is_whole_too(encoded):
    assert image_damage(encoded[".webp"]) is None


@pytest.mark.parametrize("kind", [".jpg", "progressive", "restarts"])
def test_bytes_behind_the_end_of_a_jpeg_do_no_harm(encoded, kind):
    assert image_damage(encoded[kind] + b"\x00" * 64) is None


@pytest.mark.parametrize("kind", [".png", ".jpg", ".bmp", ".webp", "progressive", "restarts"])
@given(share=st.floats(0, 1, exclude_max=True))
@SHARED_FIXTURES
def test_every_cut_is_noticed(encoded, kind, share):
    data = encoded[kind]
    cut = data[: max(40, int(len(data) * share))]
    assert image_damage(cut).startswith("ends before")


@given(position=st.floats(0, 1, exclude_max=True))
@SHARED_FIXTURES
def test_a_changed_byte_in_a_png_is_noticed(encoded, position):
    data = bytearray(encoded[".png"])
    data[8 + int((len(data) - 8) * position)] ^= 0x55
    assert image_damage(bytes(data)) is not None


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"]))
def test_any_bytes_are_safe_to_ask_about(tail, head):
    image_damage(head + tail)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi"])
def test_videos(tmp_path, write_video, moving_frames, name):
    path = write_video(tmp_path / name, moving_frames, codec="mpeg4")
    assert missing_bytes(path) == 0
    data = path.read_bytes()
    for lost in (1, 100, len(data) // 2):
        path.write_bytes(data[:-lost])
        assert missing_bytes(path) > 0, f"{lost} bytes lost"


@given(st.binary(max_size=200), st.sampled_from([b"", b"RIFF", b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x18ftyp"]))
@SHARED_FIXTURES
def test_any_file_is_safe_to_ask_about(tmp_path, tail, head):
    path = tmp_path / "any"
    path.write_bytes(head + tail)
    assert missing_bytes(path) >= 0
