"""What a live view shows: the newest picture of every camera, and the last seconds of what was read of faces."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np

from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.media.drawing.overlay import draw_overlay, overlay_scale_for
from aue_crl_core.media.reading.pixels import swap_red_blue
from aue_crl_core.types import Image

HISTORY_S: Final = 30.0
RATE_S: Final = 5.0
"""The rate is a mean over so many of the last seconds."""
_MOST_SAMPLES: Final = 4096
_LONGEST_SIDE: Final = 960
_JPEG_QUALITY: Final = 80
_BLANK: Final = (24, 27, 32)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one image gave. `number` counts all samples from 1; `time_s` when it was known, on a steady clock."""

    number: int
    time_s: float
    camera: str
    latency_s: float
    faces: tuple[FaceReading, ...]
    events: tuple[Event, ...]


@dataclass
class _Picture:
    """A camera's newest image; `image` None where no pixel may be shown: then the drawing is on a blank of `shape`."""

    number: int
    time_s: float
    shape: tuple[int, ...]
    image: Image | None
    faces: tuple[FaceReading, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)
    jpeg: bytes = b""


class Hub:
    """One thread shows, others look; nobody waits for those who look, and nothing is drawn or encoded without them.

    Any thread may call anything.
    """

    def __init__(self, pixels: bool = True) -> None:
        """`pixels` False: no image is kept, whoever shows one; faces are drawn on a blank."""
        self._pixels = pixels
        self._news = threading.Condition()
        self._samples: deque[Sample] = deque(maxlen=_MOST_SAMPLES)
        self._pictures: dict[str, _Picture] = {}
        self._number = 0
        self._viewers = 0
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return self._viewers > 0

    @property
    def closed(self) -> bool:
        """Whether nothing more comes."""
        return self._closed

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look, for as long as the context lasts."""
        with self._news:
            self._viewers += 1
        try:
            yield
        finally:
            with self._news:
                self._viewers -= 1

    def show(
        self,
        camera: str,
        image: Image,
        faces: Sequence[FaceReading],
        events: Sequence[Event],
        latency_s: float,
        pixels: bool = True,
    ) -> None:
        """What an image (HxWx3 uint8 RGB, which must not change any more) of a camera gave.

        `latency_s` from the image to now, NaN where it is not known; `pixels` False: not a pixel of it may be seen.
        """
        kept = image if pixels and self._pixels else None
        with self._news:
            self._number += 1
            now_s = time.monotonic()
            self._samples.append(Sample(self._number, now_s, camera, latency_s, tuple(faces), tuple(events)))
            while self._samples[0].time_s < now_s - HISTORY_S:
                self._samples.popleft()
            self._pictures = {name: p for name, p in self._pictures.items() if p.time_s >= now_s - HISTORY_S}
            self._pictures[camera] = _Picture(self._number, now_s, image.shape, kept, tuple(faces))
            self._news.notify_all()

    def withdraw_pixels(self) -> None:
        """Forget the images that were shown last."""
        with self._news:
            pictures = list(self._pictures.values())
        for picture in pictures:
            with picture.lock:
                picture.image, picture.jpeg = None, b""

    def since(self, number: int, timeout_s: float) -> list[Sample]:
        """The samples after that one, in order; waits for one at most `timeout_s`."""
        with self._news:
            self._news.wait_for(lambda: self._number > number or self._closed, timeout_s)
            return [sample for sample in self._samples if sample.number > number]

    def rate(self, camera: str) -> float:
        """Images a second."""
        with self._news:
            times = [s.time_s for s in self._samples if s.camera == camera and s.time_s > time.monotonic() - RATE_S]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    def picture(self, camera: str, number: int, timeout_s: float) -> tuple[int, bytes] | None:
        """The camera's newest picture (its number, JPEG) if it came after that number; waits at most `timeout_s`.

        Whoever asks first draws and encodes it, for all that ask.
        """
        with self._news:
            self._news.wait_for(lambda: self._newest(camera) > number or self._closed, timeout_s)
            picture = self._pictures.get(camera)
        if picture is None or picture.number <= number:
            return None
        with picture.lock:
            picture.jpeg = picture.jpeg or _encoded(picture)
        return picture.number, picture.jpeg

    def close(self) -> None:
        """Wake all that wait; nothing more comes."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _newest(self, camera: str) -> int:
        picture = self._pictures.get(camera)
        return 0 if picture is None else picture.number


def _encoded(picture: _Picture) -> bytes:
    image = picture.image
    if image is None:
        image = np.empty((*picture.shape[:2], 3), np.uint8)
        image[:] = _BLANK
    scale = min(overlay_scale_for(image), _LONGEST_SIDE / max(image.shape[:2]))
    faces = [reading.prediction for reading in picture.faces]
    drawn = draw_overlay(image, faces, panels="none", overlay_scale=scale)
    return cv2.imencode(".jpg", swap_red_blue(drawn), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
