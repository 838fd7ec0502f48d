"""What goes into a session and what comes out of it: values without ROS and without DDS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.types import Image


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
