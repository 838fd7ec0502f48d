"""What `aue-crl run` writes of faces over time, beside the raw rows: steady readings and events."""

from __future__ import annotations

from collections.abc import Sequence

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.dynamics.course import FilmCourse
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.media.writing.events import EventSink
from aue_crl_core.media.writing.sinks import Sink
from aue_crl_core.types import FacePrediction, Frame


class CourseWriter(ClosesOnExit):
    """Follows films one after the other; what is on where one ends, ends with its last frame."""

    def __init__(
        self, analyzer: FaceAnalyzer, course: FilmCourse, smoothed: Sink | None, events: EventSink | None
    ) -> None:
        self._analyzer, self._course = analyzer, course
        self._smoothed, self._events = smoothed, events
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
        self._last = frame

    def close(self) -> None:
        if self._last is not None and self._events is not None:
            self._events.write(self._last, self._course.end())
        self._last = None
