"""From images that arrive to observations: the whole node without its middleware."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.dynamics.course import FaceCourse
from aue_crl_core.dynamics.events import EventConfig
from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.pixels import as_rgb
from aue_crl_core.types import FacePrediction, Frame, Image
from aue_crl_ros.messages import damage
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.calibrations import CalibrationResult, Calibrations, settle
from aue_crl_ros.session.readings import Observation, PendingFrame
from aue_crl_ros.session.slots import LatestFrames
from aue_crl_ros.session.statistics import Statistics

REPEAT_COMPLAINT_S: Final = 5.0
"""A camera whose images cannot be decoded is complained of at most so often."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A frame with its pixels; `stamp_ns` is the time of reading where the image has no stamp."""

    frame: PendingFrame
    image: Image
    stamp_ns: int

    @property
    def stamp_s(self) -> float:
        return self.stamp_ns * 1e-9


@dataclass
class _Complaint:
    said_s: float = -math.inf
    count: int = 0


class Session:
    """Latest images in, observations out: one batch over all cameras, smoothing, neutral faces, events.

    `offer`, `update`, `calibrate`, `forget_neutral`, `end_calibrations`, `reset` and `close` may be called from any
    thread; one worker thread calls `step`. Of all these only `reset` waits for the `step` in work, if any. Everything
    that is measured in time goes by the images' stamps; images without one are taken to be made when they are read.
    """

    def __init__(
        self,
        analyzer: FaceAnalyzer,
        settings: Settings,
        log: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`log` gets a level (debug, info, warn, error) and a text; `clock` is steady, in seconds."""
        self.statistics = Statistics(clock)
        self._analyzer = analyzer
        self._settings = self._applied = settings
        self._log = log
        self._clock = clock
        self._epoch_ns = time.time_ns() - round(clock() * 1e9)
        self._slots = LatestFrames()
        self._lock = threading.Lock()
        self._neutral = Calibrations(clock)
        self._complaints: dict[tuple[str, str], _Complaint] = {}
        self._begin()

    @property
    def calibrating(self) -> bool:
        """Whether a neutral face is being learned, so that images are needed."""
        return self._neutral.pending

    def offer(self, frame: PendingFrame) -> None:
        """Take an image; an unread one of the same camera (or face crop) is dropped for it and counted."""
        self.statistics.note_received(frame.camera, 0 if frame.face_id else frame.stamp_ns)
        dropped = self._slots.offer(frame)
        if dropped is not None:
            self.statistics.note_dropped(dropped.camera)

    def step(self, timeout_s: float) -> list[Observation]:
        """Read the newest image of every camera that has one, all in one batch; wait for one at most `timeout_s`.

        Nothing is returned for an image that cannot be decoded: it is logged and counted as failed.
        """
        ready = self._slots.wait(timeout_s)
        with self._lock:
            observations = self._observe(self._slots.take()) if ready else []
        self._neutral.expire()
        settle(self._neutral.settled())
        return observations

    def update(self, settings: Settings) -> None:
        """Use other settings from the next step on; those that are not live stay as they were."""
        self._settings = settings

    def calibrate(self, face_id: str, duration_s: float) -> Future[CalibrationResult]:
        """Learn a face's neutral expression from the images of `duration_s` seconds, in (0, 30] (0: 1.5).

        An empty `face_id` stands for the largest face of the next image.
        The answer, success or not, comes from the thread that calls `step` (or ends it: `end_calibrations`, `reset`,
        `close`); for a request that cannot be met it is there at once. It cannot be cancelled.
        """
        answer = self._neutral.begin(face_id, duration_s, self._followed)
        settle(self._neutral.settled())
        return answer

    def forget_neutral(self, face_id: str) -> tuple[str, ...]:
        """Forget the neutral face learned of an id ("": of all); the ids that had one."""
        return self._neutral.forget(face_id)

    def reset(self) -> None:
        """End all tracks, drop unread images and learned neutral faces, and zero the counters.

        Calibrations fail. No ENDED events are given: whoever resets has stopped publishing.
        """
        with self._lock:
            self._slots.take()
            self._analyzer.forget()
            self._complaints.clear()
            self.statistics.reset()
            self._begin()
        self.end_calibrations("the node was deactivated; activate it and ask again")

    def close(self) -> None:
        """Wake `step`, which returns nothing from then on; calibrations fail."""
        self._slots.close()
        self.end_calibrations("the node was shut down; start it and ask again")

    def end_calibrations(self, reason: str) -> None:
        """Forget what was learned; who waits for more is told the reason."""
        self._neutral.clear(reason)
        settle(self._neutral.settled())

    def _begin(self) -> None:
        self._course = FaceCourse()
        self._live: dict[str, tuple[str, ...]] = {}
        self._crops: dict[str, float] = {}
        self._followed: frozenset[str] = frozenset()
        self._apply(self._settings)

    def _apply(self, settings: Settings) -> None:
        self._analyzer.reconfigure(settings.analyzer())
        events = EventConfig(settings.unit_on, settings.unit_off, settings.min_event_s)
        self._course.configure(settings.temporal(self._analyzer.uncertain_below), events)
        self._applied = settings

    def _observe(self, frames: Sequence[PendingFrame]) -> list[Observation]:
        if self._settings is not self._applied:
            self._apply(self._settings)
        decoded = [work for work in map(self._decode, frames) if work is not None]
        whole = [work for work in decoded if not work.frame.face_id]
        crops = [work for work in decoded if work.frame.face_id]
        observations = self._observe_cameras(whole) + self._observe_crops(crops)
        self._followed = frozenset(self._crops).union(*self._live.values())
        return observations

    def _observe_cameras(self, works: Sequence[_Decoded]) -> list[Observation]:
        frames = [Frame(w.image, source=w.frame.camera, time_s=w.stamp_s, camera=w.frame.camera) for w in works]
        observations = []
        for work, predictions in zip(works, self._analyzer.process(frames), strict=True):
            camera = work.frame.camera
            self._live[camera] = self._analyzer.live_ids(camera)
            ended = self._analyzer.ended_ids(camera)
            observations.append(self._observation(work, predictions, self._live[camera], ended))
        return observations

    def _observe_crops(self, works: Sequence[_Decoded]) -> list[Observation]:
        """Their ids end when other faces' crops are `lost_after_s` younger, or older (time has started over)."""
        if not works:
            return []
        newest_s = max(work.stamp_s for work in works)
        seen = {work.frame.face_id: work.stamp_s for work in works}
        lost_after_s = self._applied.lost_after_s
        ended = tuple(i for i, s in self._crops.items() if i not in seen and abs(newest_s - s) > lost_after_s)
        self._crops = {i: s for i, s in self._crops.items() if i not in ended} | seen
        live = tuple(self._crops)
        found = self._analyzer.in_crops([w.image for w in works], [w.frame.face_id for w in works])
        return [
            self._observation(work, [face] if face is not None else [], live, () if i else ended)
            for i, (work, face) in enumerate(zip(works, found, strict=True))
        ]

    def _observation(
        self, work: _Decoded, predictions: Sequence[FacePrediction], live: tuple[str, ...], ended: tuple[str, ...]
    ) -> Observation:
        events = self._end(ended)
        faces = []
        for prediction in predictions:
            reading, told = self._read(work, prediction)
            faces.append(reading)
            events += told
        frame = work.frame
        self.statistics.note_processed(frame.camera, len(faces))
        return Observation(
            camera=frame.camera,
            header=frame.header,
            stamp_ns=frame.stamp_ns,
            image=work.image,
            faces=tuple(faces),
            events=tuple(events),
            live_ids=live,
            ended_ids=ended,
            dropped=self.statistics.dropped(frame.camera),
            face_id=frame.face_id,
        )

    def _read(self, work: _Decoded, prediction: FacePrediction) -> tuple[FaceReading, list[Event]]:
        self._neutral.look(prediction, work.stamp_s)
        calibrated = False
        if self._applied.use_neutral:
            prediction, calibrated = self._neutral.corrected(prediction)
        height, width = work.image.shape[:2]
        return self._course.update(prediction, work.stamp_ns, (width, height), calibrated)

    def _end(self, ids: Sequence[str]) -> list[Event]:
        self._neutral.drop(ids)
        return self._course.end(ids)

    def _decode(self, frame: PendingFrame) -> _Decoded | None:
        try:
            with damage.words() as said:
                image = as_rgb(frame.image())
        except ImageError as error:
            self.statistics.note_failed(frame.camera)
            self._complain(frame.camera, "could not be used", str(error))
            return None
        if said:
            self.statistics.note_damaged(frame.camera)
            self._complain(frame.camera, "is damaged, and was read as far as it goes", said[0])
        return _Decoded(frame, image, frame.stamp_ns or self._epoch_ns + round(self._clock() * 1e9))

    def _complain(self, camera: str, what: str, why: str) -> None:
        complaint = self._complaints.setdefault((camera, what), _Complaint())
        complaint.count += 1
        if self._clock() - complaint.said_s >= REPEAT_COMPLAINT_S:
            count = f" ({complaint.count} since the last such message)" if complaint.count > 1 else ""
            self._log("warn", f"{camera}: an image {what}{count}: {why}")
            complaint.said_s, complaint.count = self._clock(), 0
