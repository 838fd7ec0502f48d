"""Rows of two faces in a film, as `aue-crl run` writes them, and the film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from film_rows import FPS, FRAMES, SMILE, faces_of

from aue_crl_core.media.writing.sinks import open_sink
from aue_crl_core.recordings.reading import read_recording
from aue_crl_core.recordings.recording import Recording
from aue_crl_core.types import Frame


@pytest.fixture
def write_rows(tmp_path) -> Callable[..., Path]:
    """Writes the film's rows: `write_rows("faces.jsonl", every_frame=False, source="film.mp4", frames=FRAMES,
    points=True)`; without points they are those of `--private`."""

    def write(
        name: str, every_frame: bool = False, source: str = "film.mp4", frames: int = FRAMES, points: bool = True
    ) -> Path:
        with open_sink(tmp_path / name, every_frame=every_frame, points=points, intensities=(12, 25)) as sink:
            for index in range(frames):
                blank = np.empty((0, 0, 3), np.uint8)
                sink.write(Frame(blank, source, index=index, time_s=index / FPS, camera=source), faces_of(index))
        return tmp_path / name

    return write


@pytest.fixture
def recording(write_rows) -> Recording:
    return read_recording(write_rows("faces.jsonl"))


@pytest.fixture
def film_path(tmp_path, photograph) -> Path:
    """`film.mp4` beside the rows: the photograph, light in the frames of the smile, dark in the others."""
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 480, 480, "yuv420p", 4_000_000
        for index in range(FRAMES):
            shade = photograph[:480, :480] if index in SMILE else photograph[:480, :480] // 4
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(shade), format="rgb24")))
        container.mux(stream.encode())
    return tmp_path / "film.mp4"
