"""Images that never arrived, told from the stamps of those that did."""

from __future__ import annotations

from collections import deque
from typing import Final

_STEPS: Final = 64
_QUANTILE: Final = 4
_PAUSE_NS: Final = 5 * 10**9


class StampGaps:
    """Counts where the step from stamp to stamp is a multiple of the usual one.

    Usual is the lower quartile of the last steps: one image as long as a quarter of the images come, and steady where
    stamps jitter. Fewer than that are counted too low, and a camera that halves its rate a short while too high.
    """

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._last_ns = 0
        self.missing = 0

    def note(self, stamp_ns: int) -> None:
        """An image arrived, with this stamp in nanoseconds (0: none)."""
        step, known = stamp_ns - self._last_ns, self._last_ns and stamp_ns
        self._last_ns = stamp_ns
        if not known or not 0 < step < _PAUSE_NS:
            return
        self._steps.append(step)
        usual = sorted(self._steps)[len(self._steps) // _QUANTILE]
        self.missing += max(0, round(step / usual) - 1)

    def pause(self) -> None:
        """No image is awaited until the next one arrives."""
        self._last_ns = 0
