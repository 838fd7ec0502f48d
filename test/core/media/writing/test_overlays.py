"""Overlay files: a video keeps its times and its size, a folder its names, a picture is one frame."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from aue_crl_core.errors import ConfigError, OutputError
from aue_crl_core.media.drawing.overlay import draw_overlay
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.media.reading.sources import VideoSource
from aue_crl_core.media.writing.overlays import open_overlay
from aue_crl_core.types import Frame

TIMES = [0.0, 0.04, 0.1, 0.3, 0.31, 1.0]


def stream(image, name, times=TIMES):
    return [Frame(image, name, index=index, time_s=time_s, camera=name) for index, time_s in enumerate(times)]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "new folder/out.mov"])
def test_a_video_has_every_frame_at_its_time(tmp_path, photograph, predict, name):
    odd = photograph[:481, :511]
    with open_overlay(tmp_path / name) as writer:
        assert writer.accepts_many
        for frame in stream(odd, "a.mp4"):
            writer.write(frame, [predict()] if frame.index % 2 else [])
    frames = list(VideoSource(str(tmp_path / name)))
    np.testing.assert_allclose([frame.time_s for frame in frames], TIMES, atol=2e-3)
    expected = draw_overlay(odd, [predict()], panels="beside")
    height, width = expected.shape[:2]
    assert frames[1].image.shape == (482, width + width % 2, 3)
    assert np.abs(frames[1].image[:height, :width].astype(int) - expected).mean() < 12


def test_sources_of_other_sizes_follow_each_other_in_one_video(tmp_path, photograph):
    with open_overlay(tmp_path / "out.mp4") as writer:
        for frame in stream(photograph, "a.mp4") + stream(photograph[:480, :500], "b.mp4"):
            writer.write(frame, [])
        writer.write(Frame(photograph, "one.jpg"), [])
        writer.write(Frame(photograph, "two.jpg"), [])
    frames = list(VideoSource(str(tmp_path / "out.mp4")))
    times = [frame.time_s for frame in frames]
    assert len(times) == 14
    assert times == sorted(set(times))
    assert times[-1] - times[-2] == pytest.approx(1.0, abs=0.01), "a still image is shown for a second"
    assert len({frame.image.shape for frame in frames}) == 1


def test_a_folder_holds_a_picture_a_frame_named_after_its_source(tmp_path, photograph, predict):
    with open_overlay(f"{tmp_path}/out/") as writer:
        assert writer.accepts_many
        writer.write(Frame(photograph, "a/face.png"), [predict()])
        writer.write(Frame(photograph, "b/face.jpg"), [])
        for source in ("clip one.mp4", "0", "rtsp://host/live?user=1", "/dev/video2"):
            writer.write(Frame(photograph, source, index=12, time_s=0.5, camera=source), [])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "camera0_000012.jpg",
        "clip_one_000012.jpg",
        "face.jpg",
        "face_2.jpg",
        "live_user_1_000012.jpg",
        "video2_000012.jpg",
    ]
    drawn = load_image(tmp_path / "out/face.jpg")
    assert np.abs(drawn.astype(int) - draw_overlay(photograph, [predict()])).mean() < 4


def test_names_without_a_suffix_and_existing_folders_are_folders(tmp_path, photograph):
    (tmp_path / "night.v2").mkdir()
    for path in (tmp_path / "plain", tmp_path / "night.v2"):
        with open_overlay(path) as writer:
            writer.write(Frame(photograph, "x.jpg"), [])
        assert [file.name for file in path.iterdir()] == ["x.jpg"]


def test_a_picture_holds_one_frame(tmp_path, photograph, predict):
    with open_overlay(tmp_path / "out.png") as writer:
        assert not writer.accepts_many
        writer.write(Frame(photograph), [predict()])
        with pytest.raises(ConfigError, match=r"out\.png holds one frame, got more; name a folder or an \.mp4 file"):
            writer.write(Frame(photograph), [])
    np.testing.assert_array_equal(load_image(tmp_path / "out.png"), draw_overlay(photograph, [predict()]))


@pytest.mark.parametrize("name", ["out.mp4", "out.png", "folder/"])
def test_without_frames_there_is_no_file(tmp_path, name):
    with open_overlay(f"{tmp_path}/{name}"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_points_can_be_left_out(tmp_path, photograph, predict):
    with open_overlay(tmp_path / "out.png", points=False) as writer:
        writer.write(Frame(photograph), [predict()])
    np.testing.assert_array_equal(load_image(tmp_path / "out.png"), draw_overlay(photograph, [predict()], points=False))


def test_another_suffix_names_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"must end in \.mp4, .* or \.jpg, or name a folder, got .*out\.doc"):
        open_overlay(tmp_path / "out.doc")


@pytest.mark.parametrize("name", ["out.mp4", "out.png", "folder/"])
def test_a_place_that_cannot_be_written(tmp_path, photograph, name):
    (tmp_path / "file").touch()
    with open_overlay(f"{tmp_path}/file/{name}") as writer, pytest.raises(OutputError, match="cannot be written"):
        writer.write(Frame(photograph, "a.jpg"), [])


def noisy(count, name="walk.mp4"):
    """Frames that compress badly, 160x120."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    return [Frame(np.roll(noise, 3 * i, axis=1), name, index=i, time_s=i / 25, camera=name) for i in range(count)]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_on_a_full_disk_a_video_plays_up_to_its_end(tmp_path, disk_with, name):
    path = tmp_path / name

    def run():
        with open_overlay(path) as writer:
            for frame in noisy(100):
                writer.write(frame, [])

    with disk_with(200_000), pytest.raises(OutputError, match=f"{name} cannot be written any further: .*; what is"):
        run()
    times = [frame.time_s for frame in VideoSource(str(path))]
    assert len(times) >= 5
    np.testing.assert_allclose(times, np.arange(len(times)) / 25, atol=2e-3)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_video_plays_before_it_is_finished(tmp_path, name):
    with open_overlay(tmp_path / name) as writer:
        for frame in noisy(60):
            writer.write(frame, [])
        shutil.copy(tmp_path / name, tmp_path / f"killed {name}")
    assert len(list(VideoSource(str(tmp_path / f"killed {name}")))) >= 30
    assert len(list(VideoSource(str(tmp_path / name)))) == 60


@pytest.mark.parametrize("name", ["out.mp4", "folder/"])
def test_a_folder_that_is_removed_meanwhile_is_noticed(tmp_path, name):
    def run():
        with open_overlay(f"{tmp_path}/a/{name}") as writer:
            for frame in noisy(60):
                writer.write(frame, [])
                shutil.rmtree(tmp_path / "a", ignore_errors=True)

    with pytest.raises(OutputError, match="was removed"):
        run()


def test_a_picture_is_written_in_one_step(tmp_path, photograph, disk_with):
    with disk_with(1000), pytest.raises(OutputError), open_overlay(tmp_path / "out.png") as writer:
        writer.write(Frame(photograph), [])
    assert list(tmp_path.iterdir()) == []
