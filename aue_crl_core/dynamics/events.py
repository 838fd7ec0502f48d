"""From a face's steady readings to events: an expression or an action unit began, peaked, ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from aue_crl_core.config import require
from aue_crl_core.dynamics.readings import Event, EventKind, EventPhase, FaceReading

PEAK_FALL: Final = 0.1
"""A peak is past when the probability has fallen by so much."""
_TOLERANCE_NS: Final = 500_000_000


@dataclass(frozen=True)
class EventConfig:
    """When something is an event: see the parameters of the same names."""

    unit_on: float = 0.6
    unit_off: float = 0.4
    min_event_s: float = 0.1

    def __post_init__(self) -> None:
        require(0 <= self.unit_on <= 1, "unit_on", "be in [0, 1]", self.unit_on)
        require(0 <= self.unit_off <= self.unit_on, "unit_off", f"be in [0, unit_on = {self.unit_on:g}]", self.unit_off)
        require(0 <= self.min_event_s <= 10, "min_event_s", "be in [0, 10] seconds", self.min_event_s)


@dataclass
class _Episode:
    """An expression or action unit that is on; nobody has been told of it before it is `announced`."""

    began_ns: int
    peaked_ns: int
    peak: float
    probability: float
    announced: bool = False
    peak_told: bool = False


@dataclass
class _Face:
    stamp_ns: int
    episodes: dict[str | int, _Episode] = field(default_factory=dict)


class EventDetector:
    """Follows the faces of all cameras by their ids.

    An expression is on while it is the label in force and the state is ok; an action unit from `unit_on` up until it is
    below `unit_off`. BEGAN comes when it has been on for `min_event_s` (`began_ns` is its true beginning), PEAKED when
    its probability is `PEAK_FALL` or more below its largest, once a peak (a higher one later is another), ENDED when it
    goes off, or with the face. What is on too shortly is not told at all. A face of low quality, and an action unit
    that is not visible, are held: nothing happens. A stamp earlier by more than half a second (a bag that starts over)
    ends all of the face's; a smaller step back counts as none. `config` may be replaced at any time.
    """

    def __init__(self, config: EventConfig | None = None) -> None:
        self.config = config or EventConfig()
        self._faces: dict[str, _Face] = {}

    def update(self, reading: FaceReading, stamp_ns: int) -> list[Event]:
        """What the reading of an image with that stamp (nanoseconds) brings, the expression before the units."""
        prediction = reading.prediction
        events: list[Event] = []
        face = self._faces.get(prediction.face_id)
        if face is not None and stamp_ns < face.stamp_ns - _TOLERANCE_NS:
            events += self.end([prediction.face_id])
            face = None
        if prediction.state == "low_quality":
            return events
        if face is None:
            face = self._faces[prediction.face_id] = _Face(stamp_ns)
        face.stamp_ns = max(stamp_ns, face.stamp_ns)
        # The label in force comes last, so that the one before has ended when it begins.
        for name in sorted(prediction.probabilities, key=lambda name: name == prediction.expression):
            on = prediction.state == "ok" and name == prediction.expression
            events += self._step(prediction.face_id, face, name, prediction.probabilities[name], on)
        for unit, probability in prediction.action_units.items():
            if unit in reading.visible:
                limit = self.config.unit_off if unit in face.episodes else self.config.unit_on
                events += self._step(prediction.face_id, face, unit, probability, probability >= limit)
        return events

    def end(self, ids: Iterable[str]) -> list[Event]:
        """The faces are gone: what was on has ended, with the probability that it had last."""
        events: list[Event] = []
        for face_id in ids:
            face = self._faces.pop(face_id, None)
            for what, episode in face.episodes.items() if face is not None else ():
                if episode.announced:
                    events.append(_event(face_id, what, episode, EventPhase.ENDED))
        return events

    def _step(self, face_id: str, face: _Face, what: str | int, probability: float, on: bool) -> list[Event]:
        episode = face.episodes.get(what)
        if episode is None:
            if not on:
                return []
            episode = face.episodes[what] = _Episode(face.stamp_ns, face.stamp_ns, probability, probability)
        episode.probability = probability
        if probability > episode.peak:
            episode.peak, episode.peaked_ns, episode.peak_told = probability, face.stamp_ns, False
        phases = []
        if on and not episode.announced and face.stamp_ns - episode.began_ns >= self.config.min_event_s * 1e9:
            episode.announced = True
            phases.append(EventPhase.BEGAN)
        if episode.announced and not episode.peak_told and probability <= episode.peak - PEAK_FALL:
            episode.peak_told = True
            phases.append(EventPhase.PEAKED)
        if not on:
            del face.episodes[what]
            if episode.announced:
                phases.append(EventPhase.ENDED)
        return [_event(face_id, what, episode, phase) for phase in phases]


def _event(face_id: str, what: str | int, episode: _Episode, phase: EventPhase) -> Event:
    kind, expression, unit = (
        (EventKind.EXPRESSION, what, 0) if isinstance(what, str) else (EventKind.ACTION_UNIT, "", what)
    )
    return Event(
        face_id=face_id,
        kind=kind,
        phase=phase,
        expression=expression,
        action_unit=unit,
        probability=episode.probability,
        peak_probability=episode.peak,
        began_ns=episode.began_ns,
        peaked_ns=episode.peaked_ns,
    )
