"""Sources: what the user typed becomes frames; what is broken is reported after all that can be read."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.pixels import save_image
from aue_crl_core.media.reading.sources import CameraSource, ImageSource, VideoSource, resolve_sources

PORTRAIT = Path(__file__).parents[3] / "data" / "portrait.heic"


def read(source):
    """All frames of a source, and the error it ends with (or None)."""
    frames = []
    iterator = iter(source)
    while True:
        try:
            frames.append(next(iterator))
        except StopIteration:
            return frames, None
        except ImageError as error:
            return frames, str(error)


def difference(a, b):
    return float(np.abs(a.astype(int) - b).mean())


@pytest.fixture
def folder(tmp_path, photograph):
    """photos: 2.png, 10.png, deep/1.jpg, and notes.txt, labels.csv, hidden .trash.png"""
    root = tmp_path / "photos"
    for name in ("2.png", "10.png", "deep/1.jpg", ".trash.png"):
        save_image(root / name, photograph[:60, :50])
    (root / "notes.txt").write_text("no image")
    (root / "labels.csv").write_text("a,b\n")
    return root


def test_an_image_is_one_frame_of_no_camera(photograph_path, photograph):
    sources, problems = resolve_sources([photograph_path])
    assert problems == []
    (source,) = sources
    assert (source.name, source.is_stream, source.frame_count, source.fps) == (str(photograph_path), False, 1, None)
    (frame,) = source
    np.testing.assert_array_equal(frame.image, photograph)
    assert (frame.source, frame.index, frame.time_s, frame.camera) == (str(photograph_path), 0, 0.0, "")


def test_a_folder_is_searched_in_natural_order_and_other_files_are_counted(folder):
    sources, (note,) = resolve_sources([str(folder)])
    assert [source.name for source in sources] == [str(folder / name) for name in ("2.png", "10.png", "deep/1.jpg")]
    assert not note.is_error
    assert note.message.endswith("photos: skipped 3 other files")


def test_a_glob(folder):
    sources, problems = resolve_sources([str(folder / "*.png")])
    assert [source.name for source in sources] == [str(folder / "2.png"), str(folder / "10.png")]
    assert problems == []
    everything, _ = resolve_sources([str(folder / "**" / "*.*")])
    assert len(everything) == 3


def test_a_missing_source_is_reported_and_the_others_are_kept(folder, tmp_path):
    sources, problems = resolve_sources([str(tmp_path / "gone.jpg"), str(folder / "2.png"), str(tmp_path / "*.mp4")])
    assert [source.name for source in sources] == [str(folder / "2.png")]
    assert [(problem.argument, problem.is_error) for problem in problems] == [
        (str(tmp_path / "gone.jpg"), True),
        (str(tmp_path / "*.mp4"), True),
    ]
    assert "does not exist" in problems[0].message
    assert "matches no file" in problems[1].message


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "readme.txt").touch()
    _, (problem,) = resolve_sources([str(tmp_path)])
    assert problem.is_error
    assert "no image or video, only 1 other files" in problem.message


def test_a_named_file_is_known_by_its_content_too(tmp_path, photograph_path):
    (tmp_path / "upload").write_bytes(photograph_path.read_bytes())
    (tmp_path / "notes.txt").write_text("some text that is no picture at all")
    sources, (problem,) = resolve_sources([str(tmp_path / "upload"), str(tmp_path / "notes.txt")])
    assert [type(source) for source in sources] == [ImageSource]
    assert "notes.txt is neither a video by its name nor an image by its content" in problem.message


def test_a_folders_files_without_an_ending_are_known_by_their_content(tmp_path, photograph_path):
    for name, content in {
        "upload": photograph_path.read_bytes(),
        "from_a_phone": PORTRAIT.read_bytes(),
        "notes": b"BM, or not to be, that is the question, but not of a picture",
        "empty": b"",
        "labels.csv": photograph_path.read_bytes(),
    }.items():
        (tmp_path / name).write_bytes(content)
    sources, (note,) = resolve_sources([str(tmp_path)])
    assert [source.path.name for source in sources] == ["from_a_phone", "upload"]
    assert note.message.endswith("skipped 3 other files")


def test_what_an_image_says_of_itself_is_told_after_it_was_read(tmp_path, photograph, photograph_path):
    (source,), _ = resolve_sources([photograph_path])
    (frame,) = source
    assert (frame.scale, source.notes) == (1, ())


def test_a_phones_picture_that_is_damaged_says_why(tmp_path):
    path = tmp_path / "p.heic"
    path.write_bytes(PORTRAIT.read_bytes()[:2000])
    (source,), _ = resolve_sources([path])
    frames, error = read(source)
    assert frames == []
    assert "p.heic" in error
    assert "not a whole HEIC or AVIF file: cut short or damaged" in error


def test_numbers_devices_and_urls():
    sources, problems = resolve_sources(["0", "rtsp://camera.local/stream"])
    assert [type(source) for source in sources] == [CameraSource, VideoSource]
    assert all(source.is_stream for source in sources)
    assert problems == []


def test_a_file_named_like_a_number_wins_over_a_camera(tmp_path, monkeypatch, photograph):
    save_image(tmp_path / "0" / "a.png", photograph)
    monkeypatch.chdir(tmp_path)
    sources, _ = resolve_sources(["0"])
    assert [source.name for source in sources] == ["0/a.png"]


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 broken"])
def test_a_corrupt_image_in_a_folder_fails_alone(folder, content):
    (folder / "3.jpg").write_bytes(content)
    results = {source.name: read(source) for source in resolve_sources([str(folder)])[0]}
    frames, error = results.pop(str(folder / "3.jpg"))
    assert frames == []
    assert "3.jpg is" in error
    assert all(len(frames) == 1 and error is None for frames, error in results.values())


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts"])
def test_a_video_gives_all_its_frames_with_their_times(tmp_path, write_video, moving_frames, name):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = write_video(tmp_path / name, moving_frames, fps=10, codec=codec)
    (source,), _ = resolve_sources([path])
    assert source.is_stream
    frames, error = read(source)
    assert error is None
    assert source.fps == 10
    assert source.frame_count in (20, None) or abs(source.frame_count - 20) <= 1
    assert [frame.index for frame in frames] == list(range(20))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(20) / 10, atol=1e-3)
    assert {(frame.source, frame.camera) for frame in frames} == {(str(path), str(path))}
    for frame, original in zip(frames, moving_frames, strict=True):
        assert frame.image.dtype == np.uint8
        assert frame.image.shape == original.shape
        assert difference(frame.image, original) < 10


def test_each_iteration_starts_anew(tmp_path, write_video, moving_frames):
    source = VideoSource(str(write_video(tmp_path / "clip.mp4", moving_frames)))
    first = next(iter(source))
    assert next(iter(source)).index == first.index == 0
    assert len(list(source)) == 20


@pytest.mark.parametrize(
    ("name", "options"), [("clip.mp4", {"movflags": "faststart"}), ("clip.mkv", {}), ("clip.avi", {"codec": "mpeg4"})]
)
def test_a_video_that_ends_mid_frame_gives_its_whole_frames_then_the_error(
    tmp_path, write_video, moving_frames, name, options
):
    path = write_video(tmp_path / name, moving_frames, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    frames, error = read(VideoSource(str(path)))
    assert 5 <= len(frames) < 20
    assert f"ends mid-frame: it was cut off after {len(frames)} whole frames" in error
    for frame, original in zip(frames, moving_frames, strict=False):
        assert difference(frame.image, original) < 10, "no frame is made up of grey"


def test_an_mp4_without_its_table_cannot_be_opened(tmp_path, write_video, moving_frames):
    path = write_video(tmp_path / "clip.mp4", moving_frames)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    frames, error = read(VideoSource(str(path)))
    assert frames == []
    assert "cannot be opened as a video" in error
    assert "may be cut off" in error


def test_damage_in_the_middle_costs_only_the_frames_it_hits(tmp_path, write_video, moving_frames):
    path = write_video(tmp_path / "clip.mp4", moving_frames, movflags="faststart")
    data = bytearray(path.read_bytes())
    middle = int(len(data) * 0.6)
    data[middle : middle + len(data) // 10] = b"\xff" * (len(data) // 10)
    path.write_bytes(data)
    frames, error = read(VideoSource(str(path)))
    assert 15 <= len(frames) < 20
    assert f"is damaged: {20 - len(frames)} frames" in error


@pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"no video" * 99, "cannot be opened as a video")])
def test_files_that_are_no_video(tmp_path, content, message):
    (tmp_path / "clip.mp4").write_bytes(content)
    (source,), _ = resolve_sources([tmp_path / "clip.mp4"])
    assert (source.frame_count, source.fps) == (None, None)
    frames, error = read(source)
    assert frames == []
    assert message in error


def test_the_rotation_of_a_phone_video_is_respected(tmp_path, write_video, moving_frames):
    path = write_video(tmp_path / "phone.mp4", moving_frames)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, 128 << 16, 0, 1 << 30)
    data[matrix : matrix + 36] = struct.pack(">9i", *turn)
    path.write_bytes(data)
    frame = next(iter(VideoSource(str(path))))
    assert difference(frame.image, cv2.rotate(moving_frames[0], cv2.ROTATE_90_CLOCKWISE)) < 10


def test_a_camera_that_is_not_there():
    frames, error = read(CameraSource(97))
    assert frames == []
    assert "camera 97 cannot be opened" in error


def test_a_camera_that_is_unplugged(tmp_path, write_video, moving_frames):
    path = str(write_video(tmp_path / "device.avi", moving_frames, codec="mpeg4"))
    frames, error = read(CameraSource(path))
    assert [frame.index for frame in frames] == list(range(20))
    assert difference(frames[3].image, moving_frames[3]) < 12, "frames are RGB"
    times = [frame.time_s for frame in frames]
    assert times == sorted(times)
    assert "gave no more frames after 20" in error


@pytest.mark.parametrize("name", ["²", "n" * 5000, "zero\0byte", "9" * 30])
def test_a_name_of_nothing_is_a_problem_and_no_traceback(name):
    sources, problems = resolve_sources([name])
    assert sources == []
    assert "does not exist; give an image, folder, video or camera index" in problems[0].message


def test_numbers_that_are_no_digits_sort_as_text(tmp_path, photograph_path):
    for name in ("²", "10", "2"):
        shutil.copy(photograph_path, tmp_path / f"{name}.jpg")
    sources, _ = resolve_sources([tmp_path])
    assert [Path(source.name).stem for source in sources] == ["2", "10", "²"]


def test_a_film_whose_metadata_is_not_utf_8_is_read(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as film:
        film.metadata["title"] = "title-of-the-film"
        stream = film.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        film.mux(stream.encode())
    data = path.read_bytes()
    assert b"title-of-the-film" in data
    path.write_bytes(data.replace(b"title-of-the-film", b"title\xfcof-the-film"))
    assert len(list(VideoSource(str(path)))) == 3
