"""What is known of a face over time, as values: steady readings, and events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from aue_crl_core.types import FacePrediction


class EventKind(IntEnum):
    """`ExpressionEvent.kind`."""

    EXPRESSION = 0
    ACTION_UNIT = 1


class EventPhase(IntEnum):
    """`ExpressionEvent.phase`."""

    BEGAN = 0
    PEAKED = 1
    ENDED = 2


@dataclass(frozen=True, slots=True)
class Event:
    """An expression or action unit of a face began, peaked or ended.

    `expression` is empty for an action unit, `action_unit` (FACS code) 0 for an expression; probabilities in [0, 1];
    stamps in nanoseconds of the images' clock.
    """

    face_id: str
    kind: EventKind
    phase: EventPhase
    expression: str
    action_unit: int
    probability: float
    peak_probability: float
    began_ns: int
    peaked_ns: int


@dataclass(frozen=True, slots=True)
class FaceReading:
    """One face after smoothing.

    `prediction` smoothed, its `expression` the label in force; `visible` FACS codes whose region can be seen;
    `calibrated` whether a learned neutral face is in force.
    """

    prediction: FacePrediction
    visible: frozenset[int]
    calibrated: bool = False
