"""Overlays as files: one video, one picture, or a folder with a picture for every frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from aue_crl_core.errors import ConfigError, OutputError
from aue_crl_core.media.drawing.overlay import draw_overlay
from aue_crl_core.media.reading.pixels import WRITTEN_SUFFIXES, save_image
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.media.writing.growing import GrowingFile
from aue_crl_core.types import FacePrediction, Frame, Image

if TYPE_CHECKING:
    import av

VIDEO_OUTPUT_SUFFIXES: Final = (".mp4", ".mkv", ".mov")
_HYBRID: Final = (61, 7, 100)
STILL_SECONDS: Final = 1.0
"""How long a video shows a still image."""

_CLOCK: Final = 60_000
"""Ticks a second of the written video's time stamps: whole for 24, 25, 30, 50 and 60 fps, and MPEG-4 allows 65535."""


class OverlayWriter(ClosesOnExit):
    """Draws each frame's predictions and keeps the picture; a context manager, whose exit completes the file."""

    accepts_many = True
    """False where only one frame can be written."""

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        """Draw and store one frame, with faces or without.

        Raises:
            OutputError: the picture cannot be written.
        """
        raise NotImplementedError


def open_overlay(path: str | Path, *, points: bool = True) -> OverlayWriter:
    """What `path` asks for: `.mp4`, `.mkv`, `.mov` a video, an image's suffix one picture, else a folder of JPEGs.

    Args:
        path: the file; or a folder: it exists already, or ends in `/`, or has no suffix. Missing folders are made.
        points: draw the face points.

    Raises:
        ConfigError: another suffix.
    """
    target, suffix = Path(path), Path(path).suffix.lower()
    if target.is_dir() or str(path).endswith(("/", "\\")) or not suffix:
        return OverlayFolder(target, points)
    if suffix in VIDEO_OUTPUT_SUFFIXES:
        return OverlayVideo(target, points)
    if suffix in WRITTEN_SUFFIXES:
        return OverlayPicture(target, points)
    raise ConfigError(f"an overlay must end in .mp4, .mkv, .mov, .png or .jpg, or name a folder, got {str(path)!r}")


class OverlayPicture(OverlayWriter):
    """One picture of one frame."""

    accepts_many = False

    def __init__(self, path: Path, points: bool = True) -> None:
        self._path, self._points, self._written = path, points, False

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        if self._written:
            raise ConfigError(f"overlay {self._path} holds one frame, got more; name a folder or an .mp4 file instead")
        save_image(self._path, draw_overlay(frame.image, predictions, points=self._points))
        self._written = True


class OverlayFolder(OverlayWriter):
    """`<name>.jpg` for an image, `<name>_<frame>.jpg` for a stream's frames; a name that is taken gets `_2`."""

    def __init__(self, folder: Path, points: bool = True) -> None:
        self._folder, self._points = folder, points
        self._names: dict[str, str] = {}

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        if self._names and not self._folder.is_dir():
            raise OutputError(f"folder {self._folder} was removed or moved while pictures were written into it")
        suffix = f"_{frame.index:06d}" if frame.camera else ""
        path = self._folder / f"{self._name(frame.source)}{suffix}.jpg"
        save_image(path, draw_overlay(frame.image, predictions, points=self._points))

    def _name(self, source: str) -> str:
        if source not in self._names:
            last = re.split(r"[/\\]", source.rstrip("/\\"))[-1]
            stem = re.sub(r"[^\w.-]+", "_", Path(last).stem) or "frame"
            stem = f"camera{stem}" if source.isascii() and source.isdigit() else stem
            name, number, taken = stem, 1, set(self._names.values())
            while name in taken:
                number += 1
                name = f"{stem}_{number}"
            self._names[source] = name
        return self._names[source]


class OverlayVideo(OverlayWriter):
    """H.264 (MPEG-4 where FFmpeg lacks libx264), the panels in a column beside the picture, so that nothing jumps.

    The size is the first frame's; others are fitted into it, on black. Frames keep their distances in time; a new
    source follows the one before; still images are shown for `STILL_SECONDS` each. Without any frame there is no file.

    The file can be played at any moment, also where it ends because the disk is full or the process was killed.
    """

    def __init__(self, path: Path, points: bool = True) -> None:
        self._path, self._points = path, points
        self._file: GrowingFile | None = None
        self._container: av.container.OutputContainer | None = None
        self._stream: av.video.stream.VideoStream | None = None
        self._last: Frame | None = None
        self._tick = 0
        self._step = _CLOCK // 25

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        import av

        steady = sorted(predictions, key=lambda face: face.face_id)  # panels keep their places from frame to frame
        picture = draw_overlay(frame.image, steady, points=self._points, panels="beside")
        try:
            if self._container is None:
                self._open(picture.shape[1], picture.shape[0])
            picture = _fitted(picture, self._stream.width, self._stream.height)
            coded = av.VideoFrame.from_ndarray(picture, format="rgb24")
            coded.pts, coded.time_base = self._next_tick(frame), Fraction(1, _CLOCK)
            self._add(self._container, coded)
        except OutputError:
            raise
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"overlay video {self._path} cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        if self._container is None:
            return
        container, self._container = self._container, None
        with closing(self._file):
            try:
                self._add(container, None)
            finally:
                container.close()
            self._file.end_piece()

    def _add(self, container: av.container.OutputContainer, picture: av.VideoFrame | None) -> None:
        """Write what the encoder has ready; with None, what is left in it."""
        for packet in self._stream.encode(picture):
            container.mux(packet)
            self._file.end_piece()

    def _open(self, width: int, height: int) -> None:
        import av

        self._file = GrowingFile(self._path)
        kind, options = _container(self._path.suffix.lower(), av.library_versions["libavformat"])
        self._container = av.open(self._file, "w", format=kind, options=options)
        has_x264 = "libx264" in av.codecs_available
        self._stream = self._container.add_stream("libx264" if has_x264 else "mpeg4", rate=25)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = Fraction(1, _CLOCK)
        context.options = {"preset": "veryfast", "crf": "20"} if has_x264 else {"qscale": "3"}

    def _next_tick(self, frame: Frame) -> int:
        last = self._last
        if last is not None:
            follows = frame.camera and frame.source == last.source and frame.time_s > last.time_s
            if follows:
                self._step = max(1, round((frame.time_s - last.time_s) * _CLOCK))
            elif not last.camera:
                self._step = round(STILL_SECONDS * _CLOCK)
            self._tick += self._step
        self._last = frame
        return self._tick


def _container(suffix: str, libavformat: tuple[int, int, int]) -> tuple[str, dict[str, str]]:
    """FFmpeg's name and options of a container whose every packet, once written, can be played."""
    at_once = {"flush_packets": "1"}
    if suffix == ".mkv":
        return "matroska", at_once | {"cluster_time_limit": "1"}
    # made a plain film at its end where FFmpeg can (7.1); else it stays in fragments, which players take as well
    movie = "hybrid_fragmented" if libavformat >= _HYBRID else "empty_moov+default_base_moof"
    return suffix.removeprefix("."), at_once | {"movflags": f"{movie}+frag_every_frame"}


def _fitted(picture: Image, width: int, height: int) -> Image:
    """The picture in the middle of a black `height` x `width` one, scaled to fit; an odd side is only padded."""
    if picture.shape[:2] == (height, width):
        return picture
    scale = min(width / picture.shape[1], height / picture.shape[0])
    if (picture.shape[1] + picture.shape[1] % 2, picture.shape[0] + picture.shape[0] % 2) == (width, height):
        scale = 1.0
    w = max(1, min(width, round(picture.shape[1] * scale)))
    h = max(1, min(height, round(picture.shape[0] * scale)))
    fitted = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    fitted[top : top + h, left : left + w] = cv2.resize(picture, (w, h), interpolation=method)
    return fitted
