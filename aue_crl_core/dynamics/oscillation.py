"""How much expressions oscillated lately: mouths that speak show teeth, round and close several times a second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SWING: Final = 0.3
"""A probability that turns back by more has swung; less is noise."""
MEMORY_S: Final = 2.0
"""After this time a swing counts for 1 / e of itself."""
FREE: Final = 1.5
"""So much of swings is no oscillation: an expression that comes (up to 1), or that comes and goes again at leisure."""
MOST: Final = 3.0
"""It is never told to be more, so that what lasts is told within half a second of anybody."""


@dataclass(slots=True)
class Oscillation:
    """Follows N probabilities by how far they swing, whatever the frame rate: see `update`.

    The constants were chosen on seven films of people who speak or make faces (`benchmarks/films.py`).
    """

    _furthest: NDArray[np.float64]
    _direction: NDArray[np.float64]
    _swings: float = 0.0

    @classmethod
    def beginning(cls, probabilities: NDArray[np.float64]) -> Oscillation:
        """Nothing is known yet but the first N probabilities, in [0, 1]."""
        return cls(probabilities.copy(), np.zeros(len(probabilities)))

    def update(self, probabilities: NDArray[np.float64], elapsed_s: float) -> float:
        """How much they oscillate after N more probabilities, `elapsed_s` seconds after the last: the lengths of the
        swings of those that swung the furthest, faded by their age, beyond `FREE`; in [0, `MOST`]."""
        change = probabilities - self._furthest
        onward = self._direction * change > 0
        turned = np.where(self._direction == 0, np.abs(change), -self._direction * change) > SWING
        moved = onward | turned
        self._swings = self._swings * math.exp(-elapsed_s / MEMORY_S) + float(np.abs(change[moved]).max(initial=0.0))
        self._direction = np.where(turned, np.sign(change), self._direction)
        self._furthest = np.where(moved, probabilities, self._furthest)
        return min(max(0.0, self._swings - FREE), MOST)
