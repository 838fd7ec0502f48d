"""What `aue-crl run` makes of faces over time, beside the raw rows: steady readings and events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.config import require
from aue_crl_core.dynamics.course import FilmCourse
from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.media.reading.sources import FrameSource
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.media.writing.events import EventSink
from aue_crl_core.media.writing.overlays import OverlayWriter
from aue_crl_core.media.writing.sinks import Sink
from aue_crl_core.types import FacePrediction, Frame

Watcher = Callable[[Frame, list[FaceReading], list[Event]], None]
"""Is shown each frame with what it adds up to."""


def course_for(
    sources: Sequence[FrameSource], *, over_time: bool, drawn: bool, neutral: float | None
) -> FilmCourse | None:
    """The course that `run` needs: where anything is asked for that is told `over_time`, and where films are `drawn`;
    None: nothing of it needs one.

    Raises:
        ConfigError: `neutral` without anything to take it off, or a single image among what is told over time.
    """
    if not (over_time or drawn):
        require(neutral is None, "--neutral", "be given beside --smoothed, --events, --overlay or --view", neutral)
        return None
    if over_time or neutral is not None:
        image = next((source.name for source in sources if not source.is_stream), None)
        require(image is None, "--smoothed, --events, --neutral and --view", "be of films and cameras", image)
    return FilmCourse(neutral_s=neutral) if any(source.is_stream for source in sources) else None


class CourseWriter(ClosesOnExit):
    """Follows films one after the other; what is on where one ends, ends with its last frame.

    `drawing`: films are drawn as steady as they are told, single images among them as they are.
    """

    def __init__(
        self,
        analyzer: FaceAnalyzer,
        course: FilmCourse,
        smoothed: Sink | None,
        events: EventSink | None,
        watcher: Watcher | None = None,
        drawing: OverlayWriter | None = None,
    ) -> None:
        self._analyzer, self._course = analyzer, course
        self._smoothed, self._events, self._watcher, self._drawing = smoothed, events, watcher, drawing
        self._last: Frame | None = None

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        """Enter the raw predictions of a film's next frame, or of an image."""
        if not frame.camera:
            if self._drawing is not None:
                self._drawing.write(frame, predictions)
            return
        if self._last is not None and self._last.source != frame.source:
            self.close()
        readings, events = self._course.update(frame, predictions, self._analyzer.ended_ids(frame.camera))
        steady = [reading.prediction for reading in readings]
        if self._smoothed is not None:
            self._smoothed.write(frame, steady)
        if self._drawing is not None:
            self._drawing.write(frame, steady)
        if self._events is not None:
            self._events.write(frame, events)
        if self._watcher is not None:
            self._watcher(frame, readings, events)
        self._last = frame

    def close(self) -> None:
        if self._last is not None:
            ended = self._course.end()
            if self._events is not None:
                self._events.write(self._last, ended)
        self._last = None
