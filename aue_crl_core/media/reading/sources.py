"""Where frames come from: image files, globs, folders, videos, cameras. A bad source never stops the others."""

from __future__ import annotations

import glob
import mmap
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np

from aue_crl_core.config import require
from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.completeness import missing_bytes
from aue_crl_core.media.reading.headers import FORMATS, read_header
from aue_crl_core.media.reading.heif import is_heif
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES, load_picture, swap_red_blue
from aue_crl_core.media.reading.ranges import WHOLE, FrameRange, Selection
from aue_crl_core.types import Frame

if TYPE_CHECKING:
    import av
    from av.video.frame import VideoFrame

VIDEO_SUFFIXES: Final = frozenset(
    {
        *{".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4"},
        *{".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv", ".y4m"},
    }
)
"""File name endings, lower case, that are taken for videos."""


_CAMERA: Final = re.compile(r"[0-9]{1,4}")


class FrameSource(Protocol):
    """One thing that gives frames. Iterate it to read; each iteration starts anew."""

    @property
    def name(self) -> str:
        """The path, URL or device, as it appears in `Frame.source`."""

    @property
    def is_stream(self) -> bool:
        """True where the frames are one camera's, in order, so that faces can be followed from one to the next."""

    @property
    def frame_count(self) -> int | None:
        """How many frames are to be expected; None where that can't be known beforehand."""

    @property
    def fps(self) -> float | None:
        """Frames a second, as the source states it; None for images, or where it doesn't."""

    @property
    def notes(self) -> tuple[str, ...]:
        """After reading: what the user should hear that is no error."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame that can be read, then raise `ImageError` if some could not."""


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """What the user should hear about an argument: an error, or only a note (`is_error` False: skipped other files)."""

    argument: str
    message: str
    is_error: bool = True


@dataclass
class ImageSource:
    """One image file: one frame, index 0, time 0, no camera."""

    path: Path
    notes: tuple[str, ...] = ()
    is_stream = False
    frame_count = 1
    fps = None

    @property
    def name(self) -> str:
        return str(self.path)

    def __iter__(self) -> Iterator[Frame]:
        picture = load_picture(self.path)
        self.notes = picture.notes
        yield Frame(picture.image, source=self.name, scale=picture.scale)


class VideoSource:
    """A video file or stream URL, decoded by FFmpeg (PyAV); frames are turned upright by the stream's rotation.

    `Frame.time_s` is the presentation time in seconds after the stream's start. Frames that the decoder could only
    guess (their data is damaged or cut off) are not yielded; the error at the end counts them. Of a `wanted` range
    index and time are those of the whole film; where the film ends before the range does, the error says so.
    `threads` of the decoder may be set before reading; None: FFmpeg's own choice.
    """

    is_stream = True
    notes = ()

    def __init__(self, name: str, wanted: FrameRange = WHOLE) -> None:
        self.name = name
        self.threads: int | None = None
        self._wanted = wanted

    @property
    def frame_count(self) -> int | None:
        return self._wanted.expected(*self._facts)

    @property
    def fps(self) -> float | None:
        return self._facts[1]

    @cached_property
    def _facts(self) -> tuple[int | None, float | None]:
        try:
            with self._open() as container:
                stream = container.streams.video[0]
                fps = float(stream.average_rate) if stream.average_rate else None
                seconds = container.duration / 1e6 if container.duration else None
                guess = round(seconds * fps) if seconds and fps else None
                return stream.frames or guess, fps
        except ImageError:
            return None, None

    def __iter__(self) -> Iterator[Frame]:
        import av

        index, read, damaged, cut_off, end_s = 0, 0, 0, False, 0.0
        chosen = Selection(self._wanted)
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if self.threads is not None:
                stream.codec_context.thread_count = self.threads
            packets = chosen.packets(container.demux(stream), stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    break
                except av.error.FFmpegError:
                    cut_off = True
                    break
                if packet.is_corrupt:
                    damaged += chosen.begun
                    continue
                try:
                    decoded = packet.decode()
                except av.error.FFmpegError:
                    damaged += chosen.begun
                    continue
                for picture in decoded:
                    if picture.is_corrupt:
                        damaged += chosen.begun
                        continue
                    if picture.pts is None and self._wanted.needs_times:
                        raise ImageError(
                            f"{self.name} has no time stamps, so no time can be found in it; take all of it, or give "
                            f"it some: ffmpeg -i {self.name} OUT.mp4"
                        )
                    time_s = _seconds(picture, stream, index)
                    end_s = time_s + 1 / float(stream.average_rate or 25)
                    if not chosen.begun and chosen.begins_at(time_s):
                        index = chosen.frames_before(picture.pts)
                    if not chosen.begun:
                        continue
                    if chosen.ends_at(time_s):
                        packets.close()
                        break
                    if chosen.takes(time_s):
                        yield Frame(_upright(picture, stream), self.name, index=index, time_s=time_s, camera=self.name)
                    index, read = index + 1, read + 1
        if not cut_off and not chosen.ends_at(end_s) and Path(self.name).is_file():
            cut_off = missing_bytes(Path(self.name)) > 0
        if cut_off:
            raise ImageError(f"{self.name} ends mid-frame: it was cut off after {read} whole frames; copy it again")
        if damaged:
            raise ImageError(
                f"{self.name} is damaged: {damaged} frames could not be decoded and were left out, {read} could"
            )
        if not end_s:
            raise ImageError(f"{self.name} has no video frames")
        if not read:
            raise ImageError(f"{self.name} ends at {end_s:.2f} s: nothing of it is from {self._wanted.start:g} s on")
        if self._wanted.end is not None and not chosen.ends_at(end_s):
            raise ImageError(
                f"{self.name} ends at {end_s:.2f} s, not at {self._wanted.end:g} s as asked for; "
                f"the {read} frames up to there were read"
            )

    def _open(self) -> av.container.InputContainer:
        import av

        if os.path.isfile(self.name) and not os.path.getsize(self.name):
            raise ImageError(f"{self.name} is empty (0 bytes); a video was expected: copy or record it again")
        try:
            container = av.open(self.name, **_any_metadata())
        except (av.error.FFmpegError, OSError, ValueError) as error:  # ValueError: no name of a file (a zero byte)
            reason = getattr(error, "strerror", None) or error
            raise ImageError(
                f"{self.name} cannot be opened as a video ({reason}); it may be cut off, or of another kind"
            ) from error
        if not container.streams.video:
            container.close()
            raise ImageError(f"{self.name} has no video stream (sound only?)")
        return container


class CameraSource:
    """A camera of this machine by index (0, 1, ...) or device file; `Frame.time_s` counts from its opening."""

    is_stream = True
    frame_count = None
    fps = None
    notes = ()

    def __init__(self, device: int | str, wanted: FrameRange = WHOLE) -> None:
        self._device = device
        self._wanted = wanted
        self.name = str(device)

    def __iter__(self) -> Iterator[Frame]:
        camera = cv2.VideoCapture(self._device)
        try:
            if not camera.isOpened():
                raise ImageError(
                    f"camera {self.name} cannot be opened; is it connected, used by no one else, and may you read it?"
                )
            camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            start, index, chosen = time.monotonic(), 0, Selection(self._wanted)
            while True:
                ok, image = camera.read()
                if not ok:
                    raise ImageError(f"camera {self.name} gave no more frames after {index}; was it unplugged?")
                time_s = time.monotonic() - start
                if chosen.ends_at(time_s):
                    return
                if chosen.begins_at(time_s) and chosen.takes(time_s):
                    yield Frame(swap_red_blue(image), self.name, index=index, time_s=time_s, camera=self.name)
                index += 1
        finally:
            camera.release()


def resolve_sources(
    arguments: Sequence[str | Path], wanted: FrameRange = WHOLE
) -> tuple[list[FrameSource], list[SourceProblem]]:
    """Turn what a user typed into sources, in the order typed; inside folders and globs in natural order (2 before 10).

    An argument is an image file, a video file, a folder (searched recursively; a file whose name has no ending is an
    image if its content says so; hidden and other files are counted in a note), a glob, a camera index, a device file
    under /dev, or a URL (`rtsp://...`). Of films and cameras the `wanted` frames are read, images are refused beside a
    range. Nothing is decoded here.
    """
    sources: list[FrameSource] = []
    problems: list[SourceProblem] = []
    for argument in map(str, arguments):
        path = Path(argument)
        if os.path.isdir(argument):
            _add_files(argument, _files_below(path), wanted, sources, problems)
        elif os.path.isfile(argument):
            source = _source_by_suffix(path, wanted) or _source_by_content(path, wanted)
            if source is None:
                kinds = ", ".join((*FORMATS, "HEIC", "AVIF"))
                problems.append(
                    SourceProblem(
                        argument,
                        f"{path} is neither a video by its name nor an image by its content ({kinds}); save it as one",
                    )
                )
            else:
                sources.append(source)
        elif _CAMERA.fullmatch(argument):
            sources.append(CameraSource(int(argument), wanted))
        elif argument.startswith("/dev/") and os.path.exists(argument):
            sources.append(CameraSource(argument, wanted))
        elif "://" in argument:
            sources.append(VideoSource(argument, wanted))
        elif glob.has_magic(argument):
            _add_files(argument, _files_matching(argument), wanted, sources, problems)
        else:
            problems.append(
                SourceProblem(
                    argument, f"{argument[:200]} does not exist; give an image, folder, video or camera index"
                )
            )
    image = next((source.name for source in sources if not source.is_stream), None)
    require(image is None or wanted == WHOLE, "a range of frames", "be of films and cameras", image)
    return sources, problems


def _add_files(
    argument: str,
    files: list[Path],
    wanted: FrameRange,
    sources: list[FrameSource],
    problems: list[SourceProblem],
) -> None:
    visible = [path for path in files if not path.name.startswith(".")]
    found = [
        source
        for path in visible
        if (source := _source_by_suffix(path, wanted) or (None if path.suffix else _source_by_content(path, wanted)))
    ]
    sources.extend(found)
    skipped = len(files) - len(found)
    if not files:
        problems.append(SourceProblem(argument, f"{argument} holds or matches no file; images or videos were expected"))
    elif not found:
        problems.append(SourceProblem(argument, f"{argument} holds no image or video, only {skipped} other files"))
    elif skipped:
        problems.append(SourceProblem(argument, f"{argument}: skipped {skipped} other files", is_error=False))


def _files_below(folder: Path) -> list[Path]:
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=_natural_order)


def _files_matching(pattern: str) -> list[Path]:
    files: list[Path] = []
    for path in sorted(map(Path, glob.glob(pattern, recursive=True)), key=_natural_order):
        if path.is_file():
            files.append(path)
        elif path.is_dir() and "**" not in pattern:
            files.extend(_files_below(path))
    return files


def _source_by_suffix(path: Path, wanted: FrameRange) -> FrameSource | None:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return ImageSource(path)
    return VideoSource(str(path), wanted) if suffix in VIDEO_SUFFIXES else None


def _source_by_content(path: Path, wanted: FrameRange) -> FrameSource | None:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header, heif = read_header(data), is_heif(data)
    except (OSError, ValueError):  # ValueError: an empty file
        return None
    if header is not None and header.format == "GIF":
        return VideoSource(str(path), wanted)
    return ImageSource(path) if header is not None or heif else None


def _natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Sort key: numbers inside names by value, so that frame2 comes before frame10."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(0, int(part), part) if i % 2 else (1, 0, part) for i, part in enumerate(parts) if part]


def _seconds(picture: VideoFrame, stream: av.video.stream.VideoStream, index: int) -> float:
    if picture.pts is None or picture.time_base is None:
        return index / float(stream.average_rate or 25)
    start = float((stream.start_time or 0) * stream.time_base)
    return max(0.0, float(picture.pts * picture.time_base) - start)


def _upright(picture: VideoFrame, stream: av.video.stream.VideoStream) -> np.ndarray:
    """RGB, turned by the display matrix (degrees counterclockwise; PyAV before 14 has it on the stream only)."""
    degrees = getattr(picture, "rotation", None)
    if degrees is None:
        degrees = stream.side_data.get("DISPLAYMATRIX", 0)
    turns = round(degrees / 90) % 4
    image = picture.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _any_metadata() -> dict[str, str]:
    """How PyAV is told to bear a film's metadata that is not UTF-8; from 19 on there is nothing to tell."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
