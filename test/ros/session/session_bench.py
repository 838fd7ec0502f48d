"""What surrounds a session under test: its images, a clock that the test turns, and what it hears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.errors import ImageError
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.readings import Observation, PendingFrame
from aue_crl_ros.session.session import Session

S = 1_000_000_000
REPEATABLE = Settings(background_search=False)
SETTINGS = replace(REPEATABLE, detect_every=4, min_event_s=0.1)


class Counting:
    """The real engine, noting the size of every batch."""

    def __init__(self, engine) -> None:
        self._engine = engine
        self.batches: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def predict(self, crops, points):
        self.batches.append(len(crops))
        return self._engine.predict(crops, points)


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A session with what its surroundings see of it."""

    def __init__(self, loaded: FaceAnalyzer, settings: Settings) -> None:
        self.engine = Counting(loaded.engine)
        self.clock = Clock()
        self.logged: list[tuple[str, str]] = []
        analyzer = FaceAnalyzer(self.engine, loaded.detector)
        self.session = Session(analyzer, settings, lambda level, text: self.logged.append((level, text)), self.clock)

    def show(self, image, stamp_s: float, camera: str = "/left", face_id: str = "") -> list[Observation]:
        self.session.offer(frame(image, stamp_s, camera, face_id))
        return self.session.step(0)


def frame(image, stamp_s: float, camera: str = "/left", face_id: str = "", header: object = None) -> PendingFrame:
    decode: Callable[[], np.ndarray] = image if callable(image) else lambda: image
    return PendingFrame(camera, header, round(stamp_s * S), decode, face_id)


def broken() -> np.ndarray:
    raise ImageError("half a JPEG")
