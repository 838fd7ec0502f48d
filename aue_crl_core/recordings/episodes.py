"""What began, peaked and ended in a recording: one expression or action unit of one face, from onset to offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aue_crl_core import facs
from aue_crl_core.dynamics.events import EventDetector
from aue_crl_core.dynamics.readings import Event, EventPhase, FaceReading
from aue_crl_core.recordings.recording import STATES, Track
from aue_crl_core.types import FaceBox, FacePrediction

_NO_POINTS: Final = np.empty((0, 2), np.float32)


@dataclass(frozen=True)
class Episode:
    """One event as a whole. `expression` is empty for an action unit, `action_unit` (FACS code) 0 for an expression;
    times in seconds of the film, the peak's probability in [0, 1]."""

    source: str
    face_id: str
    expression: str
    action_unit: int
    began_s: float
    peaked_s: float
    ended_s: float
    peak_probability: float

    @property
    def what(self) -> str:
        """As people write it."""
        return self.expression or f"AU{self.action_unit}"


def episodes(track: Track, expressions: Sequence[str]) -> list[Episode]:
    """By the rules of `EventDetector`, on the rows as they are, in the order of their beginning.

    What is on in the last row ends with it; an action unit that is NaN is held.
    """
    detector = EventDetector()
    found = []
    for i, time_s in enumerate(track.times):
        events = detector.update(_reading(track, i, expressions), round(time_s * 1e9))
        found += [_episode(track.source, event, time_s) for event in events if event.phase is EventPhase.ENDED]
    found += [_episode(track.source, event, track.times[-1]) for event in detector.end([track.face_id])]
    return sorted(found, key=lambda episode: (episode.began_s, episode.action_unit))


def _episode(source: str, event: Event, ended_s: float) -> Episode:
    return Episode(
        source=source,
        face_id=event.face_id,
        expression=event.expression,
        action_unit=event.action_unit,
        began_s=event.began_ns * 1e-9,
        peaked_s=event.peaked_ns * 1e-9,
        ended_s=float(ended_s),
        peak_probability=event.peak_probability,
    )


def _reading(track: Track, i: int, expressions: Sequence[str]) -> FaceReading:
    units = dict(zip(facs.ACTION_UNITS, track.units[i].tolist(), strict=True))
    prediction = FacePrediction(
        face_id=track.face_id,
        box=FaceBox(*track.boxes[i]),
        expression=expressions[track.labels[i]],
        confidence=float(track.confidences[i]),
        probabilities=dict(zip(expressions, track.probabilities[i].tolist(), strict=True)),
        action_units=units,
        landmarks=_NO_POINTS,
        state=STATES[track.states[i]],  # type: ignore[arg-type]
    )
    return FaceReading(prediction, frozenset(unit for unit, p in units.items() if p == p))
