"""What several commands are tried on."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from running import FRAMES


@pytest.fixture(scope="session")
def fer_index(fer_root, tmp_path_factory) -> Path:
    """An index of FER+ with the shipped net's points."""
    pytest.importorskip("pyarrow")
    from invoked import run

    from aue_crl_core.cli import prepare

    path = tmp_path_factory.mktemp("fer") / "fer.parquet"
    run(prepare, "ferplus", fer_root, "--output", path, "--finder", "own")
    return path


@pytest.fixture(scope="session")
def small_crops(tmp_path_factory) -> Path:
    """Settings for `train --config`: crops of 64 pixels, which train in less than half of the time."""
    path = tmp_path_factory.mktemp("settings") / "small.yaml"
    path.write_text("preprocessing: {input_size: 64}\n")
    return path


@pytest.fixture(scope="session")
def video_path(tmp_path_factory, photograph) -> Path:
    """Twelve frames at 25 a second: the photograph, moved by 2 px a frame."""
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 480, 480, "yuv420p", 4_000_000
        for index in range(FRAMES):
            shifted = np.ascontiguousarray(photograph[60:540, 2 * index : 480 + 2 * index])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shifted, format="rgb24")))
        container.mux(stream.encode())
    return path
