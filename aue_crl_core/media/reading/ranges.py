"""Which frames of a film are wanted: from a time to a time, and how many of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

_CLOCK: Final = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):(?=[0-5]?\d(?:\.|$)))?(\d+(?:\.\d*)?|\.\d+)")
_ROUNDING_S: Final = 1e-4
_MOST_HELD: Final = 1000


def parse_seconds(text: str, name: str) -> float:
    """Seconds of a text such as `90`, `7.25`, `1:30` or `0:01:30.5`.

    Raises:
        ConfigError: another text; `name` is what the user knows it by.
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{name} must be seconds or h:mm:ss (90, 7.25, 1:30, 0:01:30.5), not below 0, got {text!r}")
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)


@dataclass(frozen=True)
class FrameRange:
    """From `start` up to, and without, `end` (seconds of the film; None: to its end), every `every`-th frame, or of
    each second `fps` frames at most (None: all)."""

    start: float = 0.0
    end: float | None = None
    every: int = 1
    fps: float | None = None

    def __post_init__(self) -> None:
        require(0 <= self.start < math.inf, "start", "be at least 0 seconds and finite", self.start)
        if self.end is not None:
            after = self.start < self.end < math.inf
            require(after, "end", f"be after start ({self.start:g} seconds) and finite", self.end)
        require(self.every >= 1, "every", "be at least 1 frame", self.every)
        require(self.fps is None or 0 < self.fps < math.inf, "fps", "be above 0 and finite", self.fps)
        require(self.fps is None or self.every == 1, "fps", "not be given beside every", self.fps)

    @property
    def needs_times(self) -> bool:
        """Whether it can't be told without the frames' time stamps."""
        return self.start > 0 or self.end is not None or self.fps is not None

    def expected(self, frames: int | None, fps: float | None) -> int | None:
        """About how many of a film's frames are wanted; None where it doesn't say."""
        if self == WHOLE or frames is None or not fps:
            return frames if self == WHOLE else None
        seconds = max(0.0, min(frames / fps, self.end or math.inf) - self.start)
        return round(seconds * min(fps / self.every, self.fps or math.inf))


WHOLE: Final = FrameRange()


class Selection:
    """The frames of one film in turn: which of them are wanted. What lies before the start is not decoded, but for the
    frames since the last key frame."""

    def __init__(self, wanted: FrameRange) -> None:
        self._wanted = wanted
        self._passed: list[int] = []
        self._within = 0
        self._tick = -1
        self.begun = wanted.start == 0
        """Whether a frame at or after the start was seen."""

    def packets(self, packets: Iterable[Packet], stream: VideoStream) -> Iterator[Packet]:
        """Those that must be decoded: from the last key frame before the start on."""
        held: list[Packet] = []
        begins, holding = stream.start_time or 0, not self.begun
        for packet in packets:
            time = packet.pts if packet.pts is not None else packet.dts
            if not self.begun and time is not None and not getattr(packet, "is_discard", False):
                self._passed.append(time)
            if holding:
                before = time is not None and float((time - begins) * stream.time_base) < self._wanted.start
                held = [packet] if before and packet.is_keyframe else [*held, packet]
                if before and len(held) < _MOST_HELD:
                    continue
                holding = False
                yield from held
            else:
                yield packet

    def begins_at(self, time_s: float) -> bool:
        """Whether the frame at that time, in seconds, is one from the start on."""
        self.begun = self.begun or time_s >= self._wanted.start - _ROUNDING_S
        return self.begun

    def frames_before(self, time: int) -> int:
        """How many of the frames passed over come before that time stamp."""
        return sum(passed < time for passed in self._passed)

    def ends_at(self, time_s: float) -> bool:
        """Whether that time lies at the end of the range or after it."""
        return self._wanted.end is not None and time_s >= self._wanted.end - _ROUNDING_S

    def takes(self, time_s: float) -> bool:
        """Whether the next frame within the range, at that time, is one of those that are wanted of it."""
        self._within += 1
        if self._wanted.fps is None:
            return (self._within - 1) % self._wanted.every == 0
        tick = math.floor((time_s - self._wanted.start + _ROUNDING_S) * self._wanted.fps)
        due, self._tick = tick > self._tick, max(tick, self._tick)
        return due
