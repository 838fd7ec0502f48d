"""Images that never arrived, told from the stamps of those that did."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from typing import Final

_STEPS: Final = 64
_QUANTILE: Final = 4
_FEW: Final = 16
_NEAR: Final = 0.35
_PAUSE_NS: Final = 5 * 10**9
_UNSTEADY: Final = 0.17
"""Steps of any length lie a quarter of the usual one away from its multiples, on average; stamps that jitter by 15 % of
it, a tenth."""


class StampGaps:
    """Counts where the step from stamp to stamp is a multiple of the usual one; `share` is that of the last images, of
    those that should have come (0 to 1; 0 until there are a few).

    Usual is the middle of the steps around the lower quartile of the last ones: one image as long as a quarter of the
    images come. Fewer than that are counted too low, and a camera that halves its rate a short while too high. Where
    the steps are no multiples of one (a camera that is not steady) nothing can be told, and nothing is counted.
    """

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._last_ns = 0
        self.missing = 0
        self.share = 0.0

    def note(self, stamp_ns: int) -> None:
        """An image arrived, with this stamp in nanoseconds (0: none)."""
        step, known = stamp_ns - self._last_ns, self._last_ns and stamp_ns
        self._last_ns = stamp_ns
        if not known or not 0 < step < _PAUSE_NS:
            return
        self._steps.append(step)
        usual, unsteady = _usual(self._steps)
        if unsteady < _UNSTEADY:
            self.missing += _left_out(step / usual)
            lately = sum(_left_out(step / usual) for step in self._steps)
            self.share = lately / (lately + len(self._steps)) if len(self._steps) >= _FEW else 0.0
        else:
            self.share = 0.0

    def pause(self) -> None:
        """No image is awaited until the next one arrives."""
        self._last_ns = 0
        self.share = 0.0


def _left_out(steps: float) -> int:
    """How many images are missing in a gap of so many usual steps; none where it is no multiple of them."""
    whole = round(steps)
    return max(0, whole - 1) if abs(steps - whole) < _NEAR else 0


def _usual(steps: Iterable[int]) -> tuple[int, float]:
    """The usual step, and how far from its multiples the steps are on average, in usual ones (0 to 0.5)."""
    ordered = sorted(steps)
    low = ordered[len(ordered) // _QUANTILE]
    around = ordered[bisect_left(ordered, low / 2) : bisect_right(ordered, 1.5 * low)]
    usual = around[len(around) // 2]
    return usual, sum(abs(step / usual - round(step / usual)) for step in ordered) / len(ordered)
