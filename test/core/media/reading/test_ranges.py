"""A range of a film: the same frames as the whole film has there, found without decoding what lies before."""

from __future__ import annotations

import av
import numpy as np
import pytest

from aue_crl_core.errors import ConfigError, ImageError
from aue_crl_core.media.reading.pixels import save_image
from aue_crl_core.media.reading.ranges import FrameRange, parse_seconds
from aue_crl_core.media.reading.sources import VideoSource, resolve_sources


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("7.25", 7.25), (".5", 0.5), ("1:30", 90), ("0:01:30.5", 90.5), ("2:00:00", 7200), ("10:00", 600)],
)
def test_times_as_people_write_them(text, seconds):
    assert parse_seconds(text, "--start") == seconds


@pytest.mark.parametrize(
    "text", ["", "-5", "1m30s", "1:75", "1:2:3:4", "1:30:", "nan", "inf", "1e3", "01.02.2020", "½"]
)
def test_a_time_in_a_format_of_its_own_is_refused(text):
    with pytest.raises(ConfigError, match=r"--start must be seconds or h:mm:ss .* not below 0, got "):
        parse_seconds(text, "--start")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": -1.0}, "start must be at least 0"),
        ({"start": 5.0, "end": 3.0}, r"end must be after start \(5 seconds\) and finite, got 3.0"),
        ({"start": 5.0, "end": 5.0}, "end must be after start"),
        ({"every": 0}, "every must be at least 1"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"fps": 5.0, "every": 2}, "fps must not be given beside every"),
    ],
)
def test_a_range_that_cannot_be(values, message):
    with pytest.raises(ConfigError, match=message):
        FrameRange(**values)


@pytest.fixture(scope="module")
def films(tmp_path_factory, moving_frames):
    """The 20 frames at 10 a second with a key frame in every 7 and frames that refer to later ones, by container."""
    folder, made = tmp_path_factory.mktemp("films"), {}

    def make(name: str, codec: str = "libx264", kind: str | None = None, options: dict | None = None):
        if name not in made:
            path = folder / name
            with av.open(str(path), "w", format=kind) as container:
                stream = container.add_stream(codec, rate=10, options=options or {"bf": "2"})
                stream.height, stream.width = moving_frames[0].shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.gop_size = 7
                for frame in moving_frames:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                container.mux(stream.encode())
            made[name] = path
        return made[name]

    return make


KINDS = [
    ("clip.mp4", {}),
    ("clip.mkv", {}),
    ("clip.ts", {}),
    ("clip.avi", {"codec": "mpeg4", "options": {}}),
    ("clip.mov", {"options": {"x264-params": "open-gop=1:bframes=2:keyint=7:min-keyint=7:scenecut=0"}}),
]


@pytest.mark.parametrize(("name", "how"), KINDS, ids=[name for name, _ in KINDS])
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.1, 0.2), (0.7, 1.1), (0.6, 0.9), (1.35, 2.0), (1.9, None)])
def test_a_range_is_exact_to_the_frame(films, name, how, start, end):
    path = str(films(name, **how))
    whole = [f for f in VideoSource(path) if start - 1e-4 <= f.time_s < (end or 9) - 1e-4]
    part = list(VideoSource(path, FrameRange(start, end)))
    assert [(f.index, f.time_s) for f in part] == [(f.index, f.time_s) for f in whole]
    for a, b in zip(part, whole, strict=True):
        np.testing.assert_array_equal(a.image, b.image)


def test_what_lies_before_the_start_is_not_decoded(films):
    decoded = []

    class Counting(VideoSource):
        def _open(self):
            return _Watched(super()._open(), decoded)

    frames = list(Counting(str(films("clip.mp4")), FrameRange(1.5)))
    assert [frame.index for frame in frames] == [15, 16, 17, 18, 19]
    assert len(decoded) <= 7


class _Watched:
    """A container whose packets note that they were decoded."""

    def __init__(self, container, decoded: list) -> None:
        self._container, self._decoded, self.streams = container, decoded, container.streams

    def demux(self, stream):
        return (_WatchedPacket(packet, self._decoded) for packet in self._container.demux(stream))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._container.close()


class _WatchedPacket:
    def __init__(self, packet, decoded: list) -> None:
        self._packet, self._decoded = packet, decoded

    def __getattr__(self, name):
        return getattr(self._packet, name)

    def decode(self):
        if self._packet.size:
            self._decoded.append(self._packet.pts)
        return self._packet.decode()


def test_every_nth_frame_and_so_many_a_second_count_from_the_start(films):
    path = str(films("clip.mp4"))
    assert [f.index for f in VideoSource(path, FrameRange(0.5, every=4))] == [5, 9, 13, 17]
    assert [f.index for f in VideoSource(path, FrameRange(0.5, 1.5, fps=2.5))] == [5, 9, 13]
    assert [f.index for f in VideoSource(path, FrameRange(fps=30.0))] == list(range(20))
    assert VideoSource(path, FrameRange(0.5, 1.5, fps=5)).frame_count == 5


def test_a_film_that_ends_within_the_range_gives_what_there_is_then_the_error(films):
    frames = []
    with pytest.raises(
        ImageError, match=r"ends at 2\.00 s, not at 5 s as asked for; the 5 frames up to there were read"
    ):
        frames.extend(VideoSource(str(films("clip.mp4")), FrameRange(1.5, 5.0)))
    with pytest.raises(ImageError, match=r"ends at 2\.00 s: nothing of it is from 3 s on"):
        list(VideoSource(str(films("clip.mp4")), FrameRange(3.0, 5.0)))
    assert len(list(VideoSource(str(films("clip.mp4")), FrameRange(1.5, 2.0)))) == 5


def test_a_film_without_time_stamps_is_read_whole_and_refuses_a_time(films):
    path = str(films("raw.mpg", kind="h264", options={"bf": "0"}))
    assert len(list(VideoSource(path))) == 20
    assert [f.index for f in VideoSource(path, FrameRange(every=10))] == [0, 10]
    with pytest.raises(ImageError, match=r"has no time stamps, so no time can be found in it; .* ffmpeg -i"):
        list(VideoSource(path, FrameRange(1.0)))


def test_images_have_no_range(tmp_path, photograph):
    save_image(tmp_path / "a.png", photograph[:50, :50])
    with pytest.raises(ConfigError, match=r"a range of frames must be of films and cameras, got '.*a\.png'"):
        resolve_sources([tmp_path], FrameRange(1.0))
    assert len(resolve_sources([tmp_path])[0]) == 1
