"""Faces over time, the same for nodes, bags and `aue-crl run`: resting face taken off, smoothing, events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aue_crl_core.config import require
from aue_crl_core.dynamics.events import EventConfig, EventDetector
from aue_crl_core.dynamics.neutral import NeutralCalibration, NeutralProfile
from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.dynamics.smoothing import TemporalConfig, TemporalFilter
from aue_crl_core.faces.pose import visible_units
from aue_crl_core.types import FacePrediction, Frame


class FaceCourse:
    """Steady readings and events of faces by their ids. `configure` may be called at any time."""

    def __init__(self, temporal: TemporalConfig | None = None, events: EventConfig | None = None) -> None:
        self._filter = TemporalFilter(temporal)
        self._events = EventDetector(events)

    def configure(self, temporal: TemporalConfig, events: EventConfig) -> None:
        """Use other limits from the next prediction on."""
        self._filter.config, self._events.config = temporal, events

    def update(
        self, prediction: FacePrediction, stamp_ns: int, size: tuple[int, int], calibrated: bool = False
    ) -> tuple[FaceReading, list[Event]]:
        """What a prediction of an image of that stamp (nanoseconds) and `size` (width, height in pixels) adds up to;
        `calibrated`: it is relative to a resting face."""
        smoothed = self._filter.update(prediction, stamp_ns * 1e-9)
        reading = FaceReading(smoothed, _visible(smoothed, size), calibrated)
        return reading, self._events.update(reading, stamp_ns)

    def end(self, ids: Sequence[str]) -> list[Event]:
        """The faces are gone: what was on has ended."""
        self._filter.forget(ids)
        return self._events.end(ids)


def _visible(face: FacePrediction, size: tuple[int, int]) -> frozenset[int]:
    if face.quality is None:
        return visible_units(face.landmarks, 0.0, *size)
    eyes, mouth = not face.quality.eyes_covered, not face.quality.mouth_covered
    return visible_units(face.landmarks, face.quality.yaw, *size, eyes=eyes, mouth=mouth)


@dataclass
class _Resting:
    calibration: NeutralCalibration
    profile: NeutralProfile | None = None
    over: bool = False


@dataclass
class FilmCourse:
    """The course of the faces of films: `update` it with each frame's predictions in turn.

    `neutral_s`: what a face shows in its first so many seconds is taken for its resting expression, and taken off what
    it shows after them (None: nothing is). Where that was too expressive, or hardly seen, nothing is taken off.
    """

    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    events: EventConfig = field(default_factory=EventConfig)
    neutral_s: float | None = None

    def __post_init__(self) -> None:
        good = self.neutral_s is None or 0 < self.neutral_s < math.inf
        require(good, "neutral_s", "be above 0 seconds and finite", self.neutral_s)
        self._course = FaceCourse(self.temporal, self.events)
        self._resting: dict[str, _Resting] = {}
        self._known: set[str] = set()

    def update(
        self, frame: Frame, predictions: Iterable[FacePrediction], ended_ids: Sequence[str] = ()
    ) -> tuple[list[FaceReading], list[Event]]:
        """The frame's faces as steady readings, and the events that it brings; `ended_ids` as the analyzer has them."""
        readings, events = [], self.end(ended_ids)
        height, width = frame.image.shape[:2]
        for prediction in predictions:
            self._known.add(prediction.face_id)
            corrected = self._corrected(prediction, frame.time_s)
            reading, told = self._course.update(
                corrected, round(frame.time_s * 1e9), (width, height), corrected is not prediction
            )
            readings.append(reading)
            events += told
        return readings, events

    def end(self, ids: Iterable[str] | None = None) -> list[Event]:
        """These faces are gone, or all (None): what was on has ended."""
        gone = sorted(self._known) if ids is None else list(ids)
        self._known.difference_update(gone)
        for face_id in gone:
            self._resting.pop(face_id, None)
        return self._course.end(gone)

    def _corrected(self, prediction: FacePrediction, time_s: float) -> FacePrediction:
        if self.neutral_s is None:
            return prediction
        resting = self._resting.setdefault(prediction.face_id, _Resting(NeutralCalibration(self.neutral_s)))
        if not resting.over and resting.calibration.add(prediction, time_s):
            profile = resting.calibration.profile()
            resting.over, resting.profile = True, profile if profile and profile.reads_neutral else None
        return prediction if resting.profile is None else resting.profile.apply(prediction)
