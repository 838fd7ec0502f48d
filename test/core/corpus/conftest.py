"""Short films of real faces, and one that is cut off."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("pyarrow")


@pytest.fixture(scope="session")
def films(tmp_path_factory, photograph) -> Path:
    """A folder: a/film.mp4 and b/film.mp4 of 4 and 3 frames with a face, cut.mkv (some frames), none.mp4 (no film)."""
    folder = tmp_path_factory.mktemp("films")
    small = np.ascontiguousarray(photograph[::2, ::2])
    for name, count in (("a/film.mp4", 4), ("b/film.mp4", 3), ("cut.mkv", 12)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with av.open(str(path), "w") as film:
            stream = film.add_stream("mpeg4", rate=10)
            stream.height, stream.width, stream.codec_context.gop_size = *small.shape[:2], 1
            for _ in range(count):
                film.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
            film.mux(stream.encode())
    data = (folder / "cut.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(data[: len(data) // 2])
    (folder / "none.mp4").write_bytes(b"no film" * 99)
    return folder
