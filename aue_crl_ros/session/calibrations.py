"""Neutral faces by face id: learned, and being learned."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from aue_crl_core.dynamics.neutral import NEUTRAL, NeutralCalibration, NeutralProfile
from aue_crl_core.types import FacePrediction

DEFAULT_DURATION_S: Final = 1.5
MAX_DURATION_S: Final = 30.0
LARGEST: Final = ""
"""Instead of an id: the largest face of the next image that shows a good one."""
SILENT_S: Final = 5.0
"""A calibration whose face has sent no image for so long, on the steady clock, has failed."""
_MUCH: Final = 1.5
"""Action units whose log-odds are lowered by more are named: at rest they were more than one in four (of AUs 1, 4 and
26, which other faces show at rest as well, more than that)."""


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """The answer of CalibrateNeutral: `message` says what was learned or what to do; `frames` of `face_id` served."""

    success: bool
    message: str
    frames: int = 0
    face_id: str = ""


@dataclass
class _Pending:
    calibration: NeutralCalibration
    answer: Future[CalibrationResult]
    looked_s: float


class Calibrations:
    """Any thread may call anything. Nobody waits for a face here: answers come by `settled`, for `settle`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._profiles: dict[str, NeutralProfile] = {}
        self._pending: dict[str, _Pending] = {}
        self._settled: list[tuple[Future[CalibrationResult], CalibrationResult]] = []

    @property
    def pending(self) -> bool:
        """Whether a neutral face is being learned."""
        return bool(self._pending)

    def begin(self, face_id: str, duration_s: float, followed: Iterable[str]) -> Future[CalibrationResult]:
        """Learn the neutral face of an id of `followed` for `duration_s` seconds of images; the answer comes later.

        `face_id` may be `LARGEST`; `duration_s` in (0, 30], 0 stands for 1.5.
        """
        answer: Future[CalibrationResult] = Future()
        answer.set_running_or_notify_cancel()
        followed = sorted(followed)
        with self._lock:
            if not (math.isfinite(duration_s) and 0 <= duration_s <= MAX_DURATION_S):
                problem = f"duration must be in [0, {MAX_DURATION_S:g}] seconds, got {duration_s:g}"
            elif face_id != LARGEST and face_id not in followed:
                problem = (
                    f"no face {face_id!r} is followed; those that are: {', '.join(followed) or 'none'}; "
                    "an empty face_id stands for the largest"
                )
            elif face_id in self._pending:
                problem = f"{face_id or 'the largest face'} is being calibrated already; wait for that to end"
            else:
                calibration = NeutralCalibration(duration_s or DEFAULT_DURATION_S)
                self._pending[face_id] = _Pending(calibration, answer, self._clock())
                return answer
            self._settled.append((answer, CalibrationResult(False, problem, face_id=face_id)))
            return answer

    def look(self, prediction: FacePrediction, stamp_s: float) -> None:
        """Show a prediction as the network gave it; those of an image in order, the largest face first."""
        with self._lock:
            if LARGEST in self._pending and prediction.state != "low_quality":
                if prediction.face_id in self._pending:
                    self._fail(LARGEST, f"the largest face, {prediction.face_id}, is being calibrated already")
                else:
                    self._pending[prediction.face_id] = self._pending.pop(LARGEST)
            pending = self._pending.get(prediction.face_id)
            if pending is None:
                return
            pending.looked_s = self._clock()
            if pending.calibration.add(prediction, stamp_s):
                del self._pending[prediction.face_id]
                self._settled.append((pending.answer, self._learn(prediction, pending.calibration)))

    def corrected(self, prediction: FacePrediction) -> tuple[FacePrediction, bool]:
        """The prediction relative to the face's neutral one, and whether there is one."""
        profile = self._profiles.get(prediction.face_id)
        return (prediction, False) if profile is None else (profile.apply(prediction), True)

    def forget(self, face_id: str) -> tuple[str, ...]:
        """Forget what was learned of a face ("": of all); the ids that there was something of."""
        with self._lock:
            known = [known for known in self._profiles if face_id in ("", known)]
            for face in known:
                del self._profiles[face]
        return tuple(known)

    def drop(self, ids: Iterable[str]) -> None:
        """The faces are gone, and with them what was learned and would have been."""
        with self._lock:
            for face_id in ids:
                self._profiles.pop(face_id, None)
                self._fail(face_id, f"{face_id} was lost; let the person stay in view and ask for the new id")

    def expire(self) -> None:
        """Fail those whose face has sent nothing for too long."""
        with self._lock:
            for face_id in [i for i, p in self._pending.items() if self._clock() - p.looked_s > SILENT_S]:
                who = face_id or "a face that can be read"
                self._fail(face_id, f"{who} was in no image for {SILENT_S:g} seconds; check the camera and the view")

    def clear(self, reason: str) -> None:
        """Forget everything; what is being learned fails for `reason`."""
        with self._lock:
            self._profiles.clear()
            for face_id in list(self._pending):
                self._fail(face_id, reason)

    def settled(self) -> list[tuple[Future[CalibrationResult], CalibrationResult]]:
        """The answers that are due, handed out once; `settle` them when no lock is held."""
        with self._lock:
            due, self._settled = self._settled, []
        return due

    def _fail(self, face_id: str, reason: str) -> None:
        pending = self._pending.pop(face_id, None)
        if pending is not None:
            result = CalibrationResult(False, reason, pending.calibration.frames, face_id)
            self._settled.append((pending.answer, result))

    def _learn(self, prediction: FacePrediction, calibration: NeutralCalibration) -> CalibrationResult:
        face_id, frames = prediction.face_id, calibration.frames
        profile = calibration.profile()
        if profile is None:
            reason = f"only {frames} images of {face_id} were good enough; come closer, face the camera, or take longer"
            return CalibrationResult(False, reason, frames, face_id)
        if NEUTRAL in prediction.probabilities and not profile.reads_neutral:
            reason = f"{face_id} was too expressive for a neutral face; relax the face and ask again"
            return CalibrationResult(False, reason, frames, face_id)
        self._profiles[face_id] = profile
        lowered = {name: -bias for name, bias in profile.bias.items() if bias < 0}
        most = max(lowered, key=lambda name: lowered[name], default="")
        corrected = f"at rest it looked most like {most}" if most else "its expression needed no correction"
        shown = ", ".join(f"AU{unit}" for unit, addend in profile.units.items() if addend < -_MUCH)
        corrected += f"; {shown} will be told less often" if shown else ""
        return CalibrationResult(True, f"learned the neutral face of {face_id}: {corrected}", frames, face_id)


def settle(due: Iterable[tuple[Future[CalibrationResult], CalibrationResult]]) -> None:
    """Give the answers; whoever waits runs its callbacks here."""
    for answer, result in due:
        answer.set_result(result)
