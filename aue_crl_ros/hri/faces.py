"""ROS4HRI (REP-155): faces as topics under /humans/faces, and faces that another node found there as input."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aue_crl_core.config import require
from aue_crl_core.dynamics.readings import FaceReading
from aue_crl_ros.hri import messages as hri
from aue_crl_ros.messages.conversions import header
from aue_crl_ros.messages.image_decoding import pending_frame
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.readings import Observation, PendingFrame
from aue_crl_ros.transports.transport import RESULT, Publisher, Qos, Subscription, Transport

FACES: Final = "/humans/faces"
TRACKED: Final = f"{FACES}/tracked"
_IDS: Final = "hri_msgs/msg/IdsList"
_IMAGE: Final = "sensor_msgs/msg/Image"
_RESULT_TYPES: Final = {"facs": "hri_msgs/msg/FacialActionUnits", "expression": "hri_msgs/msg/Expression"}
_PLACE_TYPES: Final = {"roi": "hri_msgs/msg/NormalizedRegionOfInterest2D"}
_PIXEL_TYPES: Final = {"cropped": _IMAGE, "aligned": _IMAGE}
_SHAPE_TYPES: Final = {"landmarks": "hri_msgs/msg/FacialLandmarks", **_PIXEL_TYPES}
"""What shows a face itself: not with `privacy`."""

_LISTEN: Final = Qos(reliable=False, depth=2)
"""Matches publishers of either reliability. Not `SENSOR`: its QoS can be overridden by parameters, and every face would
leave some of these behind."""
_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_MOST_FACES: Final = 64


@dataclass(frozen=True, slots=True)
class _Camera:
    """Ids that a camera's last image left alive, and when it came (ROS time)."""

    ids: tuple[str, ...]
    heard_ns: int


class HriTopics:
    """What this node knows of faces, as REP-155 wants it.

    With `face_source: camera` it is the faces' owner: `tracked` with the ids of all cameras, and per face `roi`,
    `facs`, `expression`, and (not with `privacy`) `landmarks`, `cropped` and `aligned`. With another face source, the
    faces belong to the node that cut them out, and only `facs` and `expression` are added to them: their landmarks
    could only be given in the crop, which nobody would expect under that name. What nobody listens to is not made.

    All methods may be called from any thread.
    """

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._settings = settings
        self._owner = settings.face_source == "camera"
        self._tracked = transport.publisher(TRACKED, _IDS, RESULT) if self._owner else None
        self._cameras: dict[str, _Camera] = {}
        self._faces: dict[str, dict[str, Publisher]] = {}
        self._lock = threading.RLock()

    def publish(self, observation: Observation) -> None:
        """Publish all faces of an image under its header; topics come and go with the faces' ids."""
        with self._lock:
            now_ns = self._transport.now_ns()
            seen = (reading.prediction.face_id for reading in observation.faces)
            ids = tuple(dict.fromkeys((*observation.live_ids, *seen)))
            self._cameras[observation.camera] = _Camera(ids, now_ns)
            self._drop_silent_cameras(now_ns)
            self._match_topics()
            if self._tracked is not None:
                self._tracked.publish(hri.ids_list(self._transport.messages, observation.header, self._faces))
            for reading in observation.faces:
                for name, publisher in self._faces[reading.prediction.face_id].items():
                    if publisher.listeners():
                        publisher.publish(self._message(name, observation, reading))

    def expire(self) -> None:
        """End the faces of cameras that have been silent for `stale_after_s`; call it a few times a second."""
        with self._lock:
            now_ns = self._transport.now_ns()
            if self._drop_silent_cameras(now_ns):
                self._match_topics()
                self._publish_ids(now_ns)

    def listeners(self) -> int:
        """How many subscriptions these topics have in all.

        At least 1 where the faces are another node's: nobody can listen to results for ids that were not looked at yet.
        """
        with self._lock:
            publishers = [publisher for topics in self._faces.values() for publisher in topics.values()]
            if self._tracked is not None:
                publishers.append(self._tracked)
            count = sum(publisher.listeners() for publisher in publishers)
        return count if self._owner else max(1, count)

    def update(self, settings: Settings) -> None:
        """Take over settings that may change while running: with `privacy`, `_SHAPE_TYPES` are withdrawn."""
        with self._lock:
            self._settings = settings
            self._match_topics()

    def clear(self) -> None:
        """End all faces: no id is listed any more, their topics are withdrawn."""
        with self._lock:
            listed = bool(self._faces)
            self._cameras.clear()
            self._match_topics()
            if listed:
                self._publish_ids(self._transport.now_ns())

    def close(self) -> None:
        """Withdraw all topics."""
        with self._lock:
            self.clear()
            if self._tracked is not None:
                self._tracked.close()
                self._tracked = None

    def _publish_ids(self, now_ns: int) -> None:
        if self._tracked is not None:
            messages = self._transport.messages
            self._tracked.publish(hri.ids_list(messages, header(messages, now_ns), self._faces))

    def _drop_silent_cameras(self, now_ns: int) -> bool:
        limit_ns = self._settings.stale_after_s * 1e9
        silent = [name for name, camera in self._cameras.items() if abs(now_ns - camera.heard_ns) > limit_ns]
        for name in silent:
            del self._cameras[name]
        return bool(silent)

    def _match_topics(self) -> None:
        """Offer the topics of all ids that live, and withdraw the others."""
        types = dict(_RESULT_TYPES)
        if self._owner:
            types |= _PLACE_TYPES if self._settings.privacy else _PLACE_TYPES | _SHAPE_TYPES
        live = dict.fromkeys(face_id for camera in self._cameras.values() for face_id in camera.ids)
        for face_id in [face_id for face_id in self._faces if face_id not in live]:
            for publisher in self._faces.pop(face_id).values():
                publisher.close()
        for face_id in live:
            topics = self._faces.setdefault(face_id, {})
            for name in [name for name in topics if name not in types]:
                topics.pop(name).close()
            for name, kind in types.items():
                if name not in topics:
                    topics[name] = self._transport.publisher(f"{FACES}/{face_id}/{name}", kind, RESULT)

    def _message(self, name: str, observation: Observation, reading: FaceReading) -> Any:
        messages, head, face = self._transport.messages, observation.header, reading.prediction
        height, width = observation.image.shape[:2]
        if name == "roi":
            return hri.region(messages, head, face, width, height)
        if name == "landmarks":
            return hri.landmarks(messages, head, face, width, height)
        if name == "facs":
            return hri.action_units(messages, head, reading)
        if name == "expression":
            return hri.expression(messages, head, face)
        image = observation.image
        part = hri.cropped_face(image, face.box) if name == "cropped" else hri.aligned_face(image, face)
        return hri.image_message(messages, head, part)


class HriFaces:
    """Faces that another node (hri_face_detect) publishes, as input: follows `tracked` and each listed face's images.

    Frames have `FACES` as their camera, so that there is one slot per face id. Images whose stamp is more than
    `stale_after_s` old are left out: an expression of then would be taken for one of now.
    """

    def __init__(self, transport: Transport, settings: Settings, offer: Callable[[PendingFrame], None]) -> None:
        """Begin to listen; `offer` must be quick.

        Raises:
            ConfigError: `face_source` names no topic of faces.
        """
        require(settings.face_source in _PIXEL_TYPES, "face_source", "be cropped or aligned", settings.face_source)
        self._transport = transport
        self._settings = settings
        self._offer = offer
        self._lock = threading.Lock()
        self._closed = False
        self._faces: dict[str, Subscription] = {}
        self._refused: frozenset[str] = frozenset()
        self._stale: set[str] = set()
        self._tracked = transport.subscription(TRACKED, _IDS, _LISTEN, self._on_ids)

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            self._closed = True
            subscriptions = [self._tracked, *self._faces.values()]
            self._faces.clear()
        for subscription in subscriptions:
            subscription.close()

    def _on_ids(self, message: Any) -> None:
        ids = dict.fromkeys(message.ids)
        wanted = [face_id for face_id in ids if _ID.fullmatch(face_id)][:_MOST_FACES]
        self._tell_of_refused(frozenset(ids).difference(wanted))
        with self._lock:
            gone = [self._faces.pop(face_id) for face_id in list(self._faces) if face_id not in wanted]
            new = [] if self._closed else [face_id for face_id in wanted if face_id not in self._faces]
            self._stale.intersection_update(wanted)
        # the lock is not held while the transport works: its threads may be waiting for it in a callback
        for subscription in gone:
            subscription.close()
        for face_id in new:
            self._follow(face_id)

    def _follow(self, face_id: str) -> None:
        subscription = self._transport.subscription(
            f"{FACES}/{face_id}/{self._settings.face_source}",
            _IMAGE,
            _LISTEN,
            lambda message: self._on_face(face_id, message),
        )
        with self._lock:
            if not self._closed:
                self._faces[face_id] = subscription
                return
        subscription.close()

    def _on_face(self, face_id: str, message: Any) -> None:
        frame = pending_frame(message, FACES, compressed=False, face_id=face_id)
        age_s = (self._transport.now_ns() - frame.stamp_ns) * 1e-9 if frame.stamp_ns else 0.0
        stale = age_s > self._settings.stale_after_s
        with self._lock:
            if self._closed:
                return
            news = stale and face_id not in self._stale
            if stale:
                self._stale.add(face_id)
            else:
                self._stale.discard(face_id)
        if news:
            self._transport.log(
                "warn",
                f"images of face {face_id} must be at most stale_after_s = {self._settings.stale_after_s:g} s old, got "
                f"{age_s:.1f} s: left out; are the detector's clock and use_sim_time the same as this node's?",
            )
        if not stale:
            self._offer(frame)

    def _tell_of_refused(self, refused: frozenset[str]) -> None:
        news = sorted(refused - self._refused)
        self._refused = refused
        if news:
            self._transport.log(
                "warn",
                f"face ids must be letters, digits and underscores, not beginning with a digit, at most {_MOST_FACES} "
                f"at a time, got {news}: left out; they cannot be part of a topic's name",
            )
