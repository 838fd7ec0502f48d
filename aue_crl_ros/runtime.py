"""What the node does between configure and cleanup, on any middleware.

Three parties: the middleware calls `Session.offer` with each image, quickly; one worker thread analyses the latest
images and publishes; the node's own thread calls `poll` (who listens?) a few times a second.
"""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, closing
from typing import Any, Final

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.errors import AueCrlError
from aue_crl_core.live.hub import Hub
from aue_crl_core.live.server import LiveView
from aue_crl_ros.hri.faces import HriFaces, HriTopics
from aue_crl_ros.messages import conversions, neighbours
from aue_crl_ros.messages.image_decoding import pending_frame
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.calibrations import CalibrationResult
from aue_crl_ros.session.readings import Observation
from aue_crl_ros.session.session import Session
from aue_crl_ros.transports.sockets import DatagramLosses
from aue_crl_ros.transports.transport import LATCHED, RESULT, SENSOR, Publisher, Qos, Subscription, Transport

_STEP_S: Final = 0.2
_NEIGHBOURS: Final = {
    "detections": ("vision_msgs/msg/Detection2DArray", neighbours.detections),
    "markers": ("visualization_msgs/msg/MarkerArray", neighbours.markers),
}
"""Parameter and topic -> what is published there."""
_MISSING_SHARE: Final = 0.1
"""Of the last images; a camera that leaves one out now and then is none to warn of."""
IMAGE_TYPES: Final = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}


def load_analyzer(settings: Settings) -> FaceAnalyzer:
    """The analyzer that the settings ask for.

    Raises:
        AueCrlError: weights, engine, device or detector cannot be had; the message says what to do.
    """
    return FaceAnalyzer.load(
        settings.weights,
        settings.engine,  # type: ignore[arg-type]
        settings.device,
        detector=settings.detector,  # type: ignore[arg-type]
        min_face_px=settings.min_search_px,
        threads=settings.threads or None,
        precision=settings.precision,  # type: ignore[arg-type]
        config=settings.analyzer(),
    )


class ExpressionRuntime:
    """Cameras in, expressions out. `activate`, `deactivate`, `poll`, `update` and `close` belong to one thread."""

    def __init__(self, transport: Transport, settings: Settings, view: Hub | None = None) -> None:
        """Load the weights and offer the topics; nothing is listened to before `activate`.

        `view` is shown everything; None: the page that the settings ask for, if they do.

        Raises:
            AueCrlError: weights, engine, device, detector or the page's port cannot be had, or an image topic is no ROS
                name; then nothing is offered.
        """
        self._transport = transport
        self._settings = settings
        self._cameras = self._resolved_cameras()
        analyzer = load_analyzer(settings)
        self.facts = conversions.model_facts(analyzer, settings)
        self._engine = analyzer.engine
        self.session = Session(analyzer, settings, transport.log)
        with ExitStack() as offered:

            def offer(topic: str, kind: str, qos: Qos = RESULT) -> Publisher:
                return offered.enter_context(closing(transport.publisher(topic, kind, qos)))

            if view is None and settings.view:
                page = offered.enter_context(closing(LiveView(f"127.0.0.1:{settings.view_port}")))
                transport.log("info", f"live view: {page.url}")
                view = page.hub
            self._view = view
            self._expressions = offer("~/expressions", "aue_crl/msg/FaceExpressionArray")
            self._events = offer("~/events", "aue_crl/msg/ExpressionEvent")
            self._model = offer("~/model", "aue_crl/msg/ModelDescription", LATCHED)
            self._neighbours = [
                (offer(f"~/{name}", kind), make)
                for name, (kind, make) in _NEIGHBOURS.items()
                if getattr(settings, name)
            ]
            self._hri = offered.enter_context(closing(HriTopics(transport, settings))) if settings.hri else None
            self._offered = offered.pop_all()
        self._debug: Publisher | None = None
        self._debug_lock = threading.Lock()
        self._offer_debug_image()
        header = conversions.header(transport.messages, transport.now_ns())
        self._model.publish(conversions.model_description(transport.messages, self.facts, header))
        self._inputs: list[Subscription | HriFaces] = []
        self._opened_s = 0.0
        self._losses = DatagramLosses()
        self._told: set[str] = set()
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._failure = ""

    @property
    def active(self) -> bool:
        """Whether images are worked on."""
        return self._worker is not None

    @property
    def subscribed(self) -> bool:
        """Whether images are taken in: active, and somebody listens."""
        return bool(self._inputs)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Resolved topics that are expected to bring images."""
        return self._cameras

    @property
    def device(self) -> str:
        """Where the networks run now: that of `facts`, until its memory was too little (see `SparingEngine`)."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """What the expression network is computed in: fp32, bf16 or int8."""
        return self._engine.precision

    @property
    def subscribed_s(self) -> float:
        """For how long images have been taken in, seconds; 0 while they are not."""
        return time.monotonic() - self._opened_s if self._inputs else 0.0

    @property
    def lost_datagrams(self) -> int:
        """How many the kernel dropped for want of room in this process's sockets while images were taken in."""
        return self._losses.count

    @property
    def losing(self) -> str:
        """What is lost and what to do about it, while datagrams are being lost; else empty."""
        if not self.active or not self._losses.recent:
            return ""
        return (
            f"images are lost on their way: {self.lost_datagrams} datagrams did not fit the receive buffer; "
            f"{self._or_compressed(self._transport.buffer_remedy)}"
        )

    def missing(self, share: float) -> str:
        """What to say of a camera of whose last images that share never arrived; empty where it is too few to say."""
        if share < _MISSING_SHARE:
            return ""
        return (
            f"{share:.0%} of the last images did not arrive, as the stamps of the others tell: "
            f"{self._or_compressed(self._transport.image_remedy)}"
        )

    def _or_compressed(self, remedy: str) -> str:
        raw = self._settings.image_transport == "raw"
        return f"{remedy}, or image_transport:=compressed" if raw else remedy

    @property
    def failure(self) -> str:
        """What ended the worker, if something did; empty while all is well."""
        return self._failure

    def activate(self) -> None:
        """Begin to work."""
        if self._worker is not None:
            return
        self._stop.clear()
        self._failure = ""
        self._losses.begin()
        self._told.clear()
        self._worker = threading.Thread(target=self._work, name="aue_crl", daemon=True)
        self._worker.start()
        self.poll()

    def deactivate(self) -> None:
        """Stop listening and working; tracks, learned neutral faces and unread images are dropped."""
        self._close_inputs()
        if self._worker is not None:
            self._stop.set()
            self._worker.join()
            self._worker = None
        if self._hri is not None:
            self._hri.clear()
        self.session.reset()

    def close(self) -> None:
        """Withdraw the topics and the page, and let go of the weights (and of the GPU's memory)."""
        self.deactivate()
        self.session.close()
        if self._debug is not None:
            self._debug.close()
        self._offered.close()
        self._engine.close()

    def poll(self) -> None:
        """Subscribe when somebody has begun to listen, unsubscribe when nobody does any more; end silent faces.

        After a failure, who waits for a calibration is told. Once an activation it logs that images are being lost.
        """
        if self._failure:
            self.session.end_calibrations("the analysis has stopped; deactivate and activate the node, and ask again")
        if self._hri is not None and self.active:
            self._hri.expire()
        wanted = self.active and not self._failure and self._wanted()
        if wanted and not self._inputs:
            self._inputs = self._open_inputs()
            self._opened_s = time.monotonic()
        elif not wanted and self._inputs:
            self._close_inputs()
        if self._inputs:
            self._losses.look()
            self._tell_once("", self.losing)
            for camera, share in self.session.statistics.missing_shares().items():
                self._tell_once(camera, f"{camera}: {said}" if (said := self.missing(share)) else "")

    def _tell_once(self, what: str, text: str) -> None:
        """Warn of what is lost, the first time in an activation."""
        if text and what not in self._told:
            self._told.add(what)
            self._transport.log("warn", text)

    def calibrate(self, face_id: str, duration_s: float) -> Future[CalibrationResult]:
        """Learn a face's neutral expression, as the service asks; see `Session.calibrate`."""
        if not self.active:
            refused: Future[CalibrationResult] = Future()
            refused.set_result(CalibrationResult(False, "the node is not active: ros2 lifecycle set NODE activate", 0))
            return refused
        return self.session.calibrate(face_id, duration_s)

    def forget_neutral(self, face_id: str) -> tuple[bool, str]:
        """Forget a learned neutral face ("": all); whether there was one, and what to tell the caller."""
        forgotten = self.session.forget_neutral(face_id)
        if not forgotten:
            return False, f"no neutral face was learned for {face_id or 'any face'}"
        return True, f"forgot {', '.join(forgotten)}"

    def update(self, settings: Settings) -> None:
        """Take over settings that may change while running (`Settings.changed` refuses the others)."""
        self._settings = settings
        self.session.update(settings)
        self._offer_debug_image()
        if self._hri is not None:
            self._hri.update(settings)

    def _wanted(self) -> bool:
        if self._settings.always_subscribe or self.session.calibrating:
            return True
        if self._view is not None and self._view.watched:
            return True
        others = (publisher for publisher, _ in self._neighbours)
        publishers = [p for p in (self._expressions, self._events, self._debug, *others) if p is not None]
        return any(p.listeners() for p in publishers) or (self._hri is not None and self._hri.listeners() > 0)

    def _open_inputs(self) -> list[Subscription | HriFaces]:
        s = self._settings
        if s.face_source != "camera":
            return [HriFaces(self._transport, s, self.session.offer)]
        kind = IMAGE_TYPES[s.image_transport]
        return [
            self._transport.subscription(self._input(topic), kind, SENSOR, self._taker(camera))
            for topic, camera in zip(s.image_topics, self._cameras, strict=True)
        ]

    def _resolved_cameras(self) -> tuple[str, ...]:
        if self._settings.face_source != "camera":
            return ()
        return tuple(self._transport.resolve(self._input(topic)) for topic in self._settings.image_topics)

    def _input(self, topic: str) -> str:
        """What to listen to. As image_transport does it, `/compressed` follows the topic that a remapping leads to."""
        if self._settings.image_transport == "compressed":
            return f"{self._transport.resolve(topic)}/compressed"
        return topic

    def _taker(self, camera: str) -> Callable[[Any], None]:
        compressed = self._settings.image_transport == "compressed"
        return lambda message: self.session.offer(pending_frame(message, camera, compressed))

    def _close_inputs(self) -> None:
        for source in self._inputs:
            source.close()
        self._inputs = []
        self.session.statistics.pause()

    def _offer_debug_image(self) -> None:
        wanted = self._settings.debug_image and not self._settings.privacy
        with self._debug_lock:
            if wanted and self._debug is None:
                self._debug = self._transport.publisher(
                    "~/debug_image/compressed", "sensor_msgs/msg/CompressedImage", RESULT
                )
            elif not wanted and self._debug is not None:
                debug, self._debug = self._debug, None
                debug.close()
            if self._view is not None and self._settings.privacy:
                self._view.withdraw_pixels()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                for observation in self.session.step(_STEP_S):
                    self._publish(observation)
        except Exception as error:  # the thread's last line: what nobody foresaw must be seen, not lost with the thread
            self._failure = f"{type(error).__name__}: {error}"
            remedy = (
                "deactivate and activate the node to try again" if isinstance(error, AueCrlError) else "please report"
            )
            self._transport.log("error", f"analysis stopped ({remedy}): {traceback.format_exc()}")

    def _publish(self, observation: Observation) -> None:
        messages, now_ns = self._transport.messages, self._transport.now_ns()
        known = observation.stamp_ns and now_ns  # simulated time is 0 until /clock has spoken
        latency_s = (now_ns - observation.stamp_ns) * 1e-9 if known else math.nan
        points = not self._settings.privacy
        self._expressions.publish(conversions.expression_array(messages, observation, self.facts, latency_s, points))
        for event in observation.events:
            self._events.publish(conversions.expression_event(messages, observation, event))
        for publisher, make in self._neighbours:
            if publisher.listeners():
                publisher.publish(make(messages, observation))
        if self._hri is not None:
            self._hri.publish(observation)
        with self._debug_lock:  # pixels may be withdrawn by `update`, after which none may leave
            if self._debug is not None and self._debug.listeners():
                self._debug.publish(conversions.debug_image(messages, observation))
            if self._view is not None:
                pixels = not self._settings.privacy
                self._view.show(
                    observation.camera, observation.image, observation.faces, observation.events, latency_s, pixels
                )
        self.session.statistics.note_published(observation.camera, latency_s)
