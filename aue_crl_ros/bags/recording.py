"""The expressions of a bag as a recording, for `aue-crl report`. Importing this needs the package rosbags, not ROS."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rosbags.serde import SerdeError

from aue_crl_core import facs
from aue_crl_core.errors import BagError
from aue_crl_core.recordings.recording import STATES, Recording, RecordingBuilder
from aue_crl_ros.bags.files import DAMAGE, messages_of, opened_bag
from aue_crl_ros.messages.interfaces import StoreMessages

_KIND: Final = "aue_crl/msg/FaceExpressionArray"
_VOCABULARIES: Final = {len(names): names for names in (facs.BASIC_EXPRESSIONS, facs.COMPOUND_EXPRESSIONS)}


def read_bag(path: Path) -> Recording:
    """What the topics of FaceExpressionArray say: a film is a camera, its time counts from its first image.

    Action units that were not estimated or not visible are not known.

    Raises:
        BagError: no whole bag, no such topic, or a message that cannot be read.
        DatasetError: not one message.
    """
    builder = RecordingBuilder(str(path))
    counts: dict[str, int] = {}
    begins: dict[str, int] = {}
    with opened_bag(path) as reader:
        chosen = [c for c in reader.connections if c.msgtype == _KIND]
        if not chosen:
            raise BagError(f"{path} must have a topic of {_KIND}, got none; `aue-crl bag {path} OUT` adds it")
        for connection, timestamp, data in messages_of(reader, chosen):
            where = f"{path}, {connection.topic} at {timestamp * 1e-9:.3f} s"
            try:
                message = StoreMessages().deserialize(_KIND, data)
            except (SerdeError, *DAMAGE) as error:
                raise BagError(f"{where} must be a {_KIND}, got: {' '.join(str(error).split())}") from error
            camera = message.camera
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec or timestamp
            place = {
                "source": camera,
                "frame": counts.get(camera, 0),
                "time_s": (stamp - begins.setdefault(camera, stamp)) * 1e-9,
            }
            counts[camera] = counts.get(camera, 0) + 1
            for record in _records(message, where):
                builder.add(place | record, where)
    return builder.build()


def _records(message: Any, where: str) -> Iterator[dict[str, Any]]:
    """The faces of an image; where there are none, the image alone."""
    if not message.faces:
        yield {}
    for face in message.faces:
        names = _VOCABULARIES.get(len(face.probabilities))
        if names is None or face.state >= len(STATES):
            got = f"{len(face.probabilities)} and {face.state}"
            raise BagError(f"{where} must have 7 or 11 probabilities and a state of 0 to 2, got {got}")
        box = face.box
        yield {
            "face_id": face.face_id,
            "box": [box.x_offset, box.y_offset, box.width, box.height],
            "expression": face.expression,
            "confidence": face.confidence,
            "probabilities": dict(zip(names, face.probabilities, strict=True)),
            "action_units": {
                str(u.code): u.probability if u.estimated and u.visible else math.nan for u in face.action_units
            },
            "intensities": {str(u.code): u.intensity if u.visible else math.nan for u in face.action_units},
            "state": STATES[face.state],
            **({"landmarks": face.landmarks} if len(face.landmarks) else {}),
        }
