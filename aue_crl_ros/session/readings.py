"""What goes into a session and what comes out of it: values without ROS and without DDS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from aue_crl_core.types import FacePrediction, Image


@dataclass(frozen=True, slots=True)
class PendingFrame:
    """An image that has arrived and is not decoded yet, so that dropping it costs nothing.

    `camera` resolved topic, keys slots and tracks; `header` the message's own, passed on untouched; `stamp_ns` its
    stamp in nanoseconds (0: none); `image` decodes to HxWx3 uint8 RGB and may raise `ImageError`; `face_id` is set
    where the image is a face that another detector cut out (then a slot is kept per face, the crop is the whole face).
    """

    camera: str
    header: object
    stamp_ns: int
    image: Callable[[], Image]
    face_id: str = ""


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


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one image gave.

    `live_ids` faces that are followed, some perhaps unseen at the moment; `ended_ids` those that this image ended;
    `dropped` images of this camera since activation that were replaced unread; `image` HxWx3 uint8 RGB, for the debug
    image and the face crops only.
    """

    camera: str
    header: object
    stamp_ns: int
    image: Image
    faces: tuple[FaceReading, ...]
    events: tuple[Event, ...] = ()
    live_ids: tuple[str, ...] = ()
    ended_ids: tuple[str, ...] = ()
    dropped: int = 0
    face_id: str = ""
