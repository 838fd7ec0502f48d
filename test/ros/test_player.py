"""The player shows what a camera would: one size, rising stamps, every frame of a video, a photograph for a while."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.errors import ConfigError, ImageError
from aue_crl_core.media.reading.sources import resolve_sources
from aue_crl_ros.player import (
    CameraSettings,
    argument_parser,
    camera_of,
    letterboxed,
    play,
    play_arguments,
)

pytest.importorskip("rosbags")
FAST = 1000.0


@dataclass
class Recorder:
    """A transport that keeps what is published; its messages are the real ones, checked by writing them as CDR."""

    stop_after: int = 0
    sent: list = field(default_factory=list)
    topics: list = field(default_factory=list)
    logged: list = field(default_factory=list)
    closed: int = 0

    def __post_init__(self):
        from aue_crl_ros.messages.interfaces import StoreMessages

        self.messages = StoreMessages()

    def now_ns(self):
        return 1_700_000_000_000_000_007 + len(self.sent)

    def resolve(self, topic):
        return topic

    def publisher(self, topic, type_name, qos):
        self.topics.append((topic, type_name, qos.reliable))
        return self

    def publish(self, message):
        type_name = self.topics[-1][1]
        self.sent.append(self.messages.deserialize(type_name, self.messages.serialize(type_name, message)))
        if len(self.sent) == self.stop_after:
            raise KeyboardInterrupt

    def listeners(self):
        return 0

    def close(self):
        self.closed += 1

    def log(self, level, text):
        self.logged.append((level, text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photograph):
    """Two photographs, the second one a wide part of the first."""
    folder = tmp_path_factory.mktemp("photographs")
    cv2.imwrite(str(folder / "1.png"), photograph[..., ::-1])
    cv2.imwrite(str(folder / "2.png"), photograph[100:200, :, ::-1])
    return folder


def played(folder, recorder=None, **settings):
    recorder = recorder or Recorder()
    sources, _ = resolve_sources([str(folder)])
    return play(recorder, sources, CameraSettings(rate_hz=FAST, **settings)), recorder


def test_photographs_become_raw_images_of_one_size(folder, photograph):
    summary, recorder = played(folder, hold_s=0, size=(320, 240), frame_id="eye")
    assert summary.images == len(recorder.sent) == 2
    for sent, expected in zip(recorder.sent, (photograph, photograph[100:200]), strict=True):
        assert (sent.width, sent.height, sent.step, sent.encoding) == (320, 240, 960, "rgb8")
        assert sent.header.frame_id == "eye"
        np.testing.assert_array_equal(sent.data.reshape(240, 320, 3), letterboxed(expected, 320, 240))
    assert recorder.topics == [("/camera/image_raw", "sensor_msgs/msg/Image", True)]
    assert recorder.closed == 1


def test_stamps_are_the_time_of_sending(folder):
    _, recorder = played(folder, hold_s=0)
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in recorder.sent]
    assert stamps == [1_700_000_000_000_000_007, 1_700_000_000_000_000_008]


def test_compressed_images_are_jpeg_on_the_topic_beside(folder, photograph):
    _, recorder = played(folder, hold_s=0, kind="compressed", reliable=False)
    assert recorder.topics == [("/camera/image_raw/compressed", "sensor_msgs/msg/CompressedImage", False)]
    bgr = cv2.imdecode(recorder.sent[0].data, cv2.IMREAD_COLOR)
    assert "jpeg" in recorder.sent[0].format
    difference = bgr[..., ::-1].astype(int) - letterboxed(photograph, 640, 480)
    assert np.abs(difference).mean() < 3


def test_a_photograph_stays_and_the_loop_begins_anew(folder):
    summary, recorder = played(folder, hold_s=3 / FAST, loop=True, frames=10)
    assert summary.images == 10
    first = [np.array_equal(m.data, recorder.sent[0].data) for m in recorder.sent]
    assert first == [True] * 3 + [False] * 3 + [True] * 3 + [False]


def test_each_frame_of_a_video_is_shown_once(tmp_path, photograph):
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("h264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for i in range(5):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(photograph[i * 9 : i * 9 + 240, :320]))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    summary, _ = played(tmp_path, hold_s=1.0)
    assert summary.images == 5


def test_what_cannot_be_read_is_reported_once_and_the_rest_played(folder, tmp_path):
    (tmp_path / "a.png").write_bytes((folder / "1.png").read_bytes()[:5000])
    (tmp_path / "b.png").write_bytes((folder / "2.png").read_bytes())
    summary, recorder = played(tmp_path, hold_s=0, loop=True, frames=3)
    assert summary.images == 3
    assert [problem.argument for problem in summary.problems] == [str(tmp_path / "a.png")]
    assert [text for level, text in recorder.logged if level == "error"] == [summary.problems[0].message]


def test_nothing_that_can_be_read_ends_even_a_loop(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="nothing to play"):
        played(tmp_path, loop=True)


def test_ctrl_c_ends_cleanly(folder):
    _, recorder = played(folder, Recorder(stop_after=4), loop=True)
    assert len(recorder.sent) == 4
    assert recorder.closed == 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_letterboxing_keeps_the_shape_and_touches_two_sides(w, h, width, height):
    boxed = letterboxed(np.full((h, w, 3), 255, np.uint8), width, height)
    assert boxed.shape == (height, width, 3)
    rows, columns = np.flatnonzero(boxed.any(axis=(1, 2))), np.flatnonzero(boxed.any(axis=(0, 2)))
    assert len(rows) == height or len(columns) == width
    scale = min(width / w, height / h)
    assert abs(len(rows) - h * scale) <= 1
    assert abs(len(columns) - w * scale) <= 1
    assert boxed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].min() == 255


def test_the_options_describe_the_camera(folder):
    arguments = argument_parser("").parse_args(
        f"{folder} --topic head --compressed --rate 1000 --hold 0 --size 80x60 --frames 1 --best-effort".split()
    )
    assert camera_of(arguments) == CameraSettings(
        "head", "compressed", 1000.0, 0.0, (80, 60), False, 1, False, "camera"
    )
    recorder = Recorder()
    assert play_arguments(recorder, arguments) == 0
    assert len(recorder.sent) == 1
    assert play_arguments(recorder, argparse.Namespace(**{**vars(arguments), "sources": ["/none", str(folder)]})) == 1


@pytest.mark.parametrize("size", ["640", "640x", "x480", "-1x5", "axb"])
def test_a_size_that_is_none_is_refused(size, capsys):
    with pytest.raises(SystemExit):
        argument_parser("").parse_args(["a", f"--size={size}"])
    assert "must be WxH" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [{"kind": "jpeg"}, {"rate_hz": 0}, {"rate_hz": float("nan")}, {"hold_s": -1}, {"size": (0, 5)}, {"frames": 0}],
)
def test_a_camera_that_cannot_be_is_refused(settings):
    with pytest.raises(ConfigError, match="must"):
        CameraSettings(**settings)
