"""Rosbags written again with the expression topics added. Importing this needs the package rosbags, not ROS."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, Writer
from rosbags.serde import SerdeError

from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError, ImageError
from aue_crl_ros.bags.files import (
    DAMAGE,
    STORAGES,
    SUFFIXES,
    copied_connections,
    messages_of,
    new_bag,
    opened_bag,
    profile,
)
from aue_crl_ros.messages import conversions
from aue_crl_ros.messages.image_decoding import pending_frame
from aue_crl_ros.messages.interfaces import StoreMessages
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.runtime import IMAGE_TYPES, load_analyzer
from aue_crl_ros.session.readings import Observation, PendingFrame
from aue_crl_ros.session.session import Session
from aue_crl_ros.transports.transport import LATCHED, RESULT

_OUTPUTS: Final = {
    "expressions": ("aue_crl/msg/FaceExpressionArray", RESULT),
    "events": ("aue_crl/msg/ExpressionEvent", RESULT),
    "model": ("aue_crl/msg/ModelDescription", LATCHED),
}
_DEPTH: Final = re.compile(r"(16|32|64)[USF]C")


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image of the bag that could not be read: it was copied, and has no expressions."""

    topic: str
    timestamp_ns: int
    reason: str


@dataclass
class Tally:
    """What was done so far. `total` images to come; `notes` what the user should hear."""

    cameras: tuple[str, ...] = ()
    total: int = 0
    images: int = 0
    copied: int = 0
    empty: int = 0
    faces: int = 0
    events: int = 0
    expressions: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    face_ids: set[str] = field(default_factory=set)
    bad: list[BadImage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, observation: Observation) -> None:
        """Count one image."""
        predictions = [face.prediction for face in observation.faces]
        self.images += 1
        self.empty += not predictions
        self.faces += len(predictions)
        self.events += len(observation.events)
        self.expressions.update(p.expression for p in predictions)
        self.states.update(p.state for p in predictions)
        self.face_ids.update(p.face_id for p in predictions)


def annotate(
    source: Path,
    target: Path,
    settings: Settings,
    *,
    topics: Sequence[str] = (),
    storage: str | None = None,
    prefix: str = "/aue_crl",
    progress: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Copy a bag and add `prefix`/expressions, /events and /model (latched, at the bag's first message).

    Every message is copied as it is (bytes, type, QoS profiles, timestamp); every image is analysed, in the bag's
    order. An expression message has its image's header and follows it at its timestamp; `latency` is NaN (nothing was
    live). An image without a stamp is taken to be of its bag timestamp.

    Args:
        source: a folder with metadata.yaml, or one .mcap or .db3 file.
        target: the folder to write; one file where it ends in .mcap or .db3.
        settings: of the node; `image_topics` and `image_transport` do not count here.
        topics: those to analyse; empty: all pictures, raw before compressed where a camera has both.
        storage: sqlite3 or mcap; None: by the target's ending, else as the source.
        prefix: the absolute name that the added topics begin with.
        progress: called after each image.

    Raises:
        ConfigError: `target` exists, or topics that are not there.
        BagError: `source` is not a whole bag, or `target` cannot be written; then nothing is left of it.
    """
    require(storage in (None, *STORAGES), "storage", f"be one of {', '.join(STORAGES)}", storage)
    require(re.fullmatch(r"(/[A-Za-z_]\w*)+", prefix) is not None, "prefix", "be an absolute topic name", prefix)
    require(not target.exists(), "OUT", "be new: nothing is overwritten", str(target))
    told = SUFFIXES.get(target.suffix, storage)
    require(storage in (None, told), "storage", f"be {told}, as OUT's ending says, or OUT end otherwise", storage)
    with opened_bag(source) as reader:
        tally = Tally()
        cameras = _cameras(reader, topics, tally)
        _refuse_collisions(reader, prefix)
        job = _Job(reader, replace(settings, image_topics=tally.cameras), cameras, prefix, tally, progress)
        with new_bag(target, reader, storage) as writer:
            job.run(writer)
    return tally


class _Job:
    """One bag on its way from reader to writer."""

    def __init__(
        self,
        reader: Reader,
        settings: Settings,
        cameras: set[int],
        prefix: str,
        tally: Tally,
        progress: Callable[[Tally], None],
    ) -> None:
        self._reader = reader
        self._cameras = cameras
        self._prefix = prefix
        self._tally = tally
        self._progress = progress
        self._messages = StoreMessages()
        self._points = not settings.privacy
        settings = replace(settings, background_search=False)  # the same bag, the same result
        analyzer = load_analyzer(settings)
        self._facts = conversions.model_facts(analyzer, settings)
        self._session = Session(analyzer, settings, lambda level, text: tally.notes.append(text))

    def run(self, writer: Writer) -> None:
        """Write all messages, old and new."""
        copies = copied_connections(writer, self._reader, self._tally.notes)
        added = {
            name: writer.add_connection(
                f"{self._prefix}/{name}",
                type_name,
                typestore=self._messages.store,
                offered_qos_profiles=[profile(qos)],
            )
            for name, (type_name, qos) in _OUTPUTS.items()
        }

        def add(name: str, timestamp: int, message: Any) -> None:
            writer.write(added[name], timestamp, self._messages.serialize(_OUTPUTS[name][0], message))

        m = self._messages
        first = self._reader.start_time
        add("model", first, conversions.model_description(m, self._facts, conversions.header(m, first)))
        for connection, timestamp, data in messages_of(self._reader):
            writer.write(copies[connection.id], timestamp, data)
            self._tally.copied += 1
            if connection.id not in self._cameras:
                continue
            frame = self._frame(connection, timestamp, data)
            if frame is not None:
                self._session.offer(frame)
                for observation in self._session.step(0.0):
                    faces = conversions.expression_array(m, observation, self._facts, math.nan, self._points)
                    add("expressions", timestamp, faces)
                    for event in observation.events:
                        add("events", timestamp, conversions.expression_event(m, observation, event))
                    self._tally.add(observation)
            self._progress(self._tally)

    def _frame(self, connection: Connection, timestamp: int, data: bytes) -> PendingFrame | None:
        compressed = connection.msgtype == IMAGE_TYPES["compressed"]
        try:
            message = self._messages.deserialize(connection.msgtype, data)
            frame = pending_frame(message, connection.topic, compressed)
            image = frame.image()
        except (ImageError, SerdeError, *DAMAGE) as error:
            self._tally.bad.append(BadImage(connection.topic, timestamp, " ".join(str(error).split())))
            return None
        return replace(frame, image=lambda: image, stamp_ns=frame.stamp_ns or timestamp)


def _cameras(reader: Reader, asked: Sequence[str], tally: Tally) -> set[int]:
    """The ids of the connections to analyse; fills in what `tally` says of them."""
    images = {c.topic: c for c in reader.connections if c.msgtype in IMAGE_TYPES.values()}
    names = ["/" + name.strip("/") for name in asked]
    unknown = [name for name in names if name not in images]
    present = ", ".join(sorted(images)) or "none"
    if unknown:
        raise ConfigError(f"--topic must name image topics of the bag ({present}), got {', '.join(unknown)}")
    if not images:
        found = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections})) or "no topic at all"
        raise ConfigError(f"the bag must have an image topic ({' or '.join(IMAGE_TYPES.values())}), got {found}")
    if not names:
        twice = {name for name in images if name.endswith("/compressed") and name[: -len("/compressed")] in images}
        depth = {name for name, connection in images.items() if name not in twice and _is_depth(reader, connection)}
        tally.notes += [f"{name} is left out: the same camera's raw images are there" for name in sorted(twice)]
        tally.notes += [f"{name} is left out: depth, not pictures" for name in sorted(depth)]
        names = [name for name in images if name not in twice | depth]
        require(bool(names), "--topic", "name one of the depth topics where they are wanted", present)
    tally.cameras = tuple(dict.fromkeys(names))
    chosen = [c for c in reader.connections if c.topic in names and c.msgtype in IMAGE_TYPES.values()]
    tally.total = sum(c.msgcount for c in chosen)
    return {c.id for c in chosen}


def _is_depth(reader: Reader, connection: Connection) -> bool:
    """Whether the topic's first message says so."""
    for _, _, data in messages_of(reader, [connection]):
        try:
            message = StoreMessages().deserialize(connection.msgtype, data)
        except (SerdeError, *DAMAGE):
            return False
        what = message.format if connection.msgtype == IMAGE_TYPES["compressed"] else message.encoding
        return _DEPTH.match(what) is not None or "compressedDepth" in what
    return False


def _refuse_collisions(reader: Reader, prefix: str) -> None:
    present = {connection.topic for connection in reader.connections}
    for name in _OUTPUTS:
        topic = f"{prefix}/{name}"
        require(topic not in present, "--prefix", f"be another one: the bag has a topic {topic} already", prefix)
