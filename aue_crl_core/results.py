"""Results for programs: a film, folder or camera as an iterator, its results as a table and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.ranges import WHOLE, FrameRange
from aue_crl_core.media.reading.sources import FrameSource, resolve_sources
from aue_crl_core.types import FacePrediction, Frame


@dataclass(frozen=True, slots=True)
class Result:
    """A frame and the faces in it, largest first; of a film they keep their ids from frame to frame."""

    frame: Frame
    faces: Sequence[FacePrediction]


def read(*sources: str | Path, analyzer: FaceAnalyzer | None = None, wanted: FrameRange = WHOLE) -> Iterator[Result]:
    """Every frame of images, folders, globs, films, a camera or a URL, in turn, with its faces.

    `analyzer` None: the shipped weights on the processor; `wanted`: which frames of films.

    Raises:
        ImageError: a source that is not there, or, after all that could be read of it, one that is damaged.
    """
    found, problems = resolve_sources(sources, wanted)
    for problem in problems:
        if problem.is_error:
            raise ImageError(problem.message)
    analyzer = analyzer or FaceAnalyzer.load()
    for source in found:
        yield from read_source(source, analyzer)


def read_source(source: FrameSource, analyzer: FaceAnalyzer) -> Iterator[Result]:
    """As `read`, of one source; at its end the analyzer forgets its faces."""
    camera = ""
    try:
        for frame in source:
            camera = frame.camera
            yield Result(frame, analyzer.process([frame])[0])
    finally:
        if camera:
            analyzer.forget(camera)
