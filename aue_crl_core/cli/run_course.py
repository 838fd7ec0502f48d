"""What `aue-crl run` makes of faces over time, beside the raw rows: steady readings and events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.dynamics.course import FilmCourse
from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.media.writing.events import EventSink
from aue_crl_core.media.writing.sinks import Sink
from aue_crl_core.types import FacePrediction, Frame

Watcher = Callable[[Frame, list[FaceReading], list[Event]], None]
"""Is shown each frame with what it adds up to."""


class CourseWriter(ClosesOnExit):
    """Follows films one after the other; what is on where one ends, ends with its last frame."""

    def __init__(
        self,
        analyzer: FaceAnalyzer,
        course: FilmCourse,
        smoothed: Sink | None,
        events: EventSink | None,
        watcher: Watcher | None = None,
    ) -> None:
        self._analyzer, self._course = analyzer, course
        self._smoothed, self._events, self._watcher = smoothed, events, watcher
        self._last: Frame | None = None

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        """Enter the raw predictions of a film's next frame."""
        if self._last is not None and self._last.source != frame.source:
            self.close()
        readings, events = self._course.update(frame, predictions, self._analyzer.ended_ids(frame.camera))
        if self._smoothed is not None:
            self._smoothed.write(frame, [reading.prediction for reading in readings])
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
