"""What became of the images: counts, rates and latencies per camera, for diagnostics."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from aue_crl_ros.session.gaps import StampGaps

WINDOW_S: Final = 5.0
"""Rates are means over so many of the last seconds."""
LATENCIES: Final = 256
"""Latency percentiles are those of so many last images."""
MAX_CAMERAS: Final = 256
_BUCKETS: Final = 10


@dataclass(frozen=True, slots=True)
class CameraStatistics:
    """One camera since activation; `received` = `processed` + `dropped` + `failed` and what is unread or in work.

    `damaged`: images of those `processed` of which the decoder told that they are damaged.
    `input_hz`, `output_hz` over the last `WINDOW_S` seconds; `latency_p50_s`, `latency_p95_s` from an image's stamp to
    its publication, NaN without any; `silent_s` since the last arrival, on the steady clock, inf before the first;
    `missing`: images that never arrived, as the stamps of the others tell, `missing_share` their share of the last
    ones; `faces` in the last image processed.
    """

    received: int = 0
    processed: int = 0
    dropped: int = 0
    failed: int = 0
    damaged: int = 0
    missing: int = 0
    missing_share: float = 0.0
    input_hz: float = 0.0
    output_hz: float = 0.0
    latency_p50_s: float = math.nan
    latency_p95_s: float = math.nan
    silent_s: float = math.inf
    faces: int = 0


class _Rate:
    """Events a second over the last seconds, in buckets: bounded memory at any rate."""

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._counts: deque[tuple[int, int]] = deque(maxlen=_BUCKETS)

    def count(self, now_s: float) -> None:
        bucket = _bucket(now_s)
        if self._counts and self._counts[-1][0] == bucket:
            self._counts[-1] = bucket, self._counts[-1][1] + 1
        else:
            self._counts.append((bucket, 1))

    def per_s(self, now_s: float) -> float:
        first = _bucket(now_s) - _BUCKETS + 1
        since_s = max(first * WINDOW_S / _BUCKETS, self._began_s)
        total = sum(count for bucket, count in self._counts if bucket >= first)
        # A camera that has just begun: one image in its first millisecond is no 1000 Hz.
        return total / max(now_s - since_s, WINDOW_S / _BUCKETS)


def _bucket(now_s: float) -> int:
    return math.floor(now_s * _BUCKETS / WINDOW_S)


@dataclass
class _Camera:
    input_rate: _Rate
    output_rate: _Rate
    arrived_s: float = -math.inf
    received: int = 0
    processed: int = 0
    dropped: int = 0
    failed: int = 0
    damaged: int = 0
    faces: int = 0
    gaps: StampGaps = field(default_factory=StampGaps)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))


class Statistics:
    """Any thread may call anything. `clock` is steady, in seconds.

    At most `MAX_CAMERAS` cameras are kept; a further one takes the place of that which has been silent longest.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cameras: dict[str, _Camera] = {}

    def note_received(self, camera: str, stamp_ns: int = 0) -> None:
        """An image arrived; `stamp_ns` nanoseconds, 0 where no gap is to be told from it."""
        with self._lock:
            entry, now_s = self._entry(camera), self._clock()
            entry.received += 1
            entry.arrived_s = now_s
            entry.gaps.note(stamp_ns)
            entry.input_rate.count(now_s)

    def note_dropped(self, camera: str) -> None:
        """An image was replaced unread."""
        with self._lock:
            self._entry(camera).dropped += 1

    def note_failed(self, camera: str) -> None:
        """An image could not be decoded."""
        with self._lock:
            self._entry(camera).failed += 1

    def note_damaged(self, camera: str) -> None:
        """An image was decoded as far as it goes."""
        with self._lock:
            self._entry(camera).damaged += 1

    def note_processed(self, camera: str, faces: int) -> None:
        """An image was read, with so many faces in it."""
        with self._lock:
            entry = self._entry(camera)
            entry.processed += 1
            entry.faces = faces
            entry.output_rate.count(self._clock())

    def note_published(self, camera: str, latency_s: float) -> None:
        """An image's results went out, `latency_s` seconds after its stamp; NaN (no stamp) is left out."""
        if math.isfinite(latency_s):
            with self._lock:
                self._entry(camera).latencies.append(latency_s)

    def dropped(self, camera: str) -> int:
        """Images of the camera that were replaced unread."""
        with self._lock:
            entry = self._cameras.get(camera)
            return entry.dropped if entry is not None else 0

    def missing_shares(self) -> dict[str, float]:
        """Of every camera the share of the last images that never arrived."""
        with self._lock:
            return {name: entry.gaps.share for name, entry in self._cameras.items()}

    def snapshot(self) -> dict[str, CameraStatistics]:
        """Every camera that has sent something, by its name."""
        with self._lock:
            return {name: self._read(entry) for name, entry in self._cameras.items()}

    def pause(self) -> None:
        """No images are taken in for a while: the gap in their stamps is no loss."""
        with self._lock:
            for entry in self._cameras.values():
                entry.gaps.pause()

    def reset(self) -> None:
        """Back to nothing."""
        with self._lock:
            self._cameras.clear()

    def _entry(self, camera: str) -> _Camera:
        if camera not in self._cameras:
            if len(self._cameras) >= MAX_CAMERAS:
                del self._cameras[min(self._cameras, key=lambda name: self._cameras[name].arrived_s)]
            now_s = self._clock()
            self._cameras[camera] = _Camera(_Rate(now_s), _Rate(now_s))
        return self._cameras[camera]

    def _read(self, entry: _Camera) -> CameraStatistics:
        now_s = self._clock()
        middle, high = np.percentile(entry.latencies, (50, 95)) if entry.latencies else (math.nan, math.nan)
        return CameraStatistics(
            received=entry.received,
            processed=entry.processed,
            dropped=entry.dropped,
            failed=entry.failed,
            damaged=entry.damaged,
            missing=entry.gaps.missing,
            missing_share=entry.gaps.share,
            input_hz=entry.input_rate.per_s(now_s),
            output_hz=entry.output_rate.per_s(now_s),
            latency_p50_s=float(middle),
            latency_p95_s=float(high),
            silent_s=now_s - entry.arrived_s,
            faces=entry.faces,
        )
