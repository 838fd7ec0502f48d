"""From single predictions to a steady reading of each face: smoothing, a label with hysteresis, abstention."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import require
from aue_crl_core.dynamics.oscillation import Oscillation
from aue_crl_core.facs import MOST_INTENSITY
from aue_crl_core.types import FacePrediction

STRIKING: Final = 0.1
"""A probability that is off by so much is followed twice as fast as one that is hardly off."""
_HALF: Final = 0.5
"""A label with less was not what the readings said most of the time, however sure each of them was."""


@dataclass(frozen=True)
class TemporalConfig:
    """How a face's predictions are joined over time.

    `smoothing_s` time constant of the smoothing of small changes, seconds of the images' clock (0: none); large ones
    are followed sooner (see `TemporalFilter`). `hysteresis` by how much another label's smoothed probability must
    exceed that of the label in force to replace it; `uncertain_below` the smoothed confidence of single readings below
    which a face is `uncertain`; one that was not becomes so only below that less the `hysteresis`.
    """

    smoothing_s: float = 0.3
    hysteresis: float = 0.1
    uncertain_below: float = 0.4

    def __post_init__(self) -> None:
        good = 0 <= self.smoothing_s < math.inf
        require(good, "smoothing_s", "be at least 0 seconds and finite", self.smoothing_s)
        for name in ("hysteresis", "uncertain_below"):
            require(0 <= getattr(self, name) <= 1, name, "be in [0, 1]", getattr(self, name))


@dataclass
class _Estimate:
    """What is believed of one face; `expressions`, `units` and `intensities` in the order of the prediction's
    mappings."""

    stamp_s: float
    expressions: NDArray[np.float64]
    units: NDArray[np.float64]
    intensities: NDArray[np.float64]
    label: str
    reading_confidence: float
    sure: bool
    oscillation: Oscillation


class TemporalFilter:
    """Smooths the predictions of every face by its id; one filter serves all cameras, whose ids are distinct.

    Probabilities p follow what is new by `dp/dt = (1 + (d / STRIKING)^2) / smoothing_s * (new - p)`, with d = |new - p|
    for each action unit (a fifth of it for an intensity), and the largest of these for all expressions: flicker is
    smoothed, and what happens to a face is followed at once (an idea of the 1 EUR filter; Casiez, Roussel & Vogel, CHI
    2012). Where expressions oscillate, as while a mouth speaks, they are followed less soon: `STRIKING` and
    `smoothing_s` are 1 + `Oscillation` times as large for them; action units keep telling what moves. This is solved
    exactly over the time between the stamps of a face's good predictions, so the frame rate does not matter. A
    `low_quality` prediction does not enter: the last good estimate is held. A time of 0 is no step; a stamp that is
    earlier by less than `tolerance_s` (images out of order) is none either, by more (a bag that starts over) begins the
    face anew.

    A face is `uncertain` where its readings are unsure, each for itself, or the label in force has less than half. What
    is certain stays so within the hysteresis.

    `config` may be replaced at any time; the next prediction is filtered with it.
    """

    def __init__(self, config: TemporalConfig | None = None, tolerance_s: float = 0.5) -> None:
        """Check `tolerance_s`.

        Raises:
            ConfigError: it is negative or not finite.
        """
        good = 0 <= tolerance_s < math.inf
        require(good, "tolerance_s", "be at least 0 seconds and finite", tolerance_s)
        self.config = config or TemporalConfig()
        self._tolerance_s = tolerance_s
        self._estimates: dict[str, _Estimate] = {}

    def update(self, prediction: FacePrediction, stamp_s: float) -> FacePrediction:
        """The prediction with smoothed probabilities, the label in force as `expression`, and its state.

        `stamp_s` of the image, seconds. A face that has only been `low_quality` so far is returned as it came.

        Raises:
            ConfigError: `stamp_s` is not finite.
        """
        require(math.isfinite(stamp_s), "stamp_s", "be finite", stamp_s)
        estimate = self._estimates.get(prediction.face_id)
        if estimate is not None and stamp_s < estimate.stamp_s - self._tolerance_s:
            del self._estimates[prediction.face_id]
            estimate = None
        if prediction.state != "low_quality":
            estimate = self._stepped(estimate, prediction, stamp_s)
            self._estimates[prediction.face_id] = estimate
        return prediction if estimate is None else self._read(prediction, estimate)

    def forget(self, ids: Iterable[str]) -> None:
        """Drop what is known of these faces; unknown ids are ignored."""
        for face_id in ids:
            self._estimates.pop(face_id, None)

    def _stepped(self, old: _Estimate | None, prediction: FacePrediction, stamp_s: float) -> _Estimate:
        expressions = np.fromiter(prediction.probabilities.values(), np.float64)
        units = np.fromiter(prediction.action_units.values(), np.float64)
        intensities = np.fromiter(prediction.intensities.values(), np.float64)
        surest = float(expressions.max())
        if old is None:
            sure = self._is_sure(surest, surest, False)
            oscillation = Oscillation.beginning(expressions)
            return _Estimate(stamp_s, expressions, units, intensities, prediction.expression, surest, sure, oscillation)
        elapsed_s = max(0.0, stamp_s - old.stamp_s)
        slower = 1 + (old.oscillation.update(expressions, elapsed_s) if elapsed_s > 0 else 0.0)
        gap = old.expressions - expressions
        kept = float(_kept(np.abs(gap).max() / slower, self._fade(elapsed_s / slower)))
        expressions = expressions + gap * kept
        surest += (old.reading_confidence - surest) * kept
        fade = self._fade(elapsed_s)
        gap = old.units - units
        units = units + gap * _kept(np.abs(gap), fade)
        gap = old.intensities - intensities
        intensities = intensities + gap * _kept(np.abs(gap) / MOST_INTENSITY, fade)
        names = list(prediction.probabilities)
        best = int(expressions.argmax())
        in_force = expressions[names.index(old.label)]
        label = names[best] if expressions[best] > in_force + self.config.hysteresis else old.label
        sure = self._is_sure(surest, float(expressions[names.index(label)]), old.sure)
        stamp_s = max(stamp_s, old.stamp_s)
        return _Estimate(stamp_s, expressions, units, intensities, label, surest, sure, old.oscillation)

    def _is_sure(self, reading_confidence: float, confidence: float, before: bool) -> bool:
        """Of the smoothed confidence of single readings, and of the label in force; `before`: whether it was."""
        least, less = self.config.uncertain_below, self.config.hysteresis if before else 0.0
        return reading_confidence >= least - less and confidence >= min(least, _HALF) - less

    def _fade(self, elapsed_s: float) -> float:
        """What is left of a small change after that time."""
        return math.exp(-elapsed_s / self.config.smoothing_s) if self.config.smoothing_s > 0 else 0.0

    def _read(self, prediction: FacePrediction, estimate: _Estimate) -> FacePrediction:
        probabilities = dict(zip(prediction.probabilities, estimate.expressions.tolist(), strict=True))
        confidence = probabilities[estimate.label]
        state = prediction.state
        if state != "low_quality":
            state = "ok" if estimate.sure else "uncertain"
        return replace(
            prediction,
            expression=estimate.label,
            confidence=confidence,
            probabilities=probabilities,
            action_units=dict(zip(prediction.action_units, estimate.units.tolist(), strict=True)),
            intensities=dict(zip(prediction.intensities, estimate.intensities.tolist(), strict=True)),
            state=state,
        )


def _kept(gap: NDArray[np.float64], fade: float) -> NDArray[np.float64]:
    """What is left of a gap in [0, 1], as a share of it, when one of next to nothing has faded to `fade` of itself."""
    return fade / np.sqrt(1 + (gap / STRIKING) ** 2 * (1 - fade**2))
