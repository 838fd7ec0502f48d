"""A person's resting face, learned, so that one which looks sad or angry at rest is read as neutral."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError
from aue_crl_core.facs import MOST_INTENSITY
from aue_crl_core.types import FacePrediction

NEUTRAL: Final = "neutral"
MAX_BIAS: Final = 3.0
"""The most that a logit is moved: a clear expression or action unit (odds of 100 to 1) is still read as itself."""
UNIT_AT_REST: Final = 0.015
"""The probability of an action unit that a resting face is moved towards, but for those of `UNITS_AT_REST`."""
UNITS_AT_REST: Final[Mapping[int, float]] = {1: 0.1, 4: 0.25, 26: 0.07}
"""FACS code -> the probability that a resting face is moved towards: what the shipped weights say of the middle one of
many neutral faces, of AUs that people are undecided about on such faces."""
_SHARE: Final = 0.5
"""How far, in log-odds: one second of a face shows one pose in one light, and is as much of a chance as of a habit."""
MAX_INTENSITY_AT_REST: Final = 0.9
"""The most of an action unit's largest intensity that is taken for rest."""
MIN_FRAMES: Final = 3
_MARGIN: Final = math.log(2)
_LEAST_PROBABILITY: Final = 1e-6
_LEAST_OF_UNIT: Final = 1e-4
"""Log-odds of less, and of more than 1 less this, are not told apart."""


@dataclass(frozen=True)
class NeutralProfile:
    """What a person's resting face looks like to the network.

    `bias` expression -> addend of its logit, in [-MAX_BIAS, 0]; `units` FACS code -> addend of its log-odds, in
    [-MAX_BIAS, MAX_BIAS]; `intensities` FACS code -> intensity at rest, in [0, 5 * MAX_INTENSITY_AT_REST];
    `reads_neutral` whether the resting face becomes neutral with it (False where it was too expressive for a bounded
    bias, and for a vocabulary without neutral, whose expressions are left as they are).
    """

    bias: Mapping[str, float]
    units: Mapping[int, float]
    intensities: Mapping[int, float]
    reads_neutral: bool

    @classmethod
    def learned(cls, predictions: Sequence[FacePrediction]) -> NeutralProfile:
        """From predictions of one resting face, neither smoothed nor corrected.

        The mean log-probabilities are the logits at rest (up to a constant). Each expression's is lowered, by at most
        `MAX_BIAS`, until neutral is twice as likely; those that are less likely than that already stay.

        An action unit's log-odds are evidence of the face plus the expression's prior, and evidence is geometry: brows
        that sit high look raised (AU 1) and, drawn together, not lowered (AU 4). So what the log-odds at rest are apart
        from those of `UNIT_AT_REST` is taken off, upwards as well as downwards.

        Raises:
            ConfigError: no predictions.
        """
        if not predictions:
            raise ConfigError("a neutral face is learned from at least one prediction, got none")
        names = list(predictions[0].probabilities)
        rows = np.array([list(p.probabilities.values()) for p in predictions], dtype=np.float64)
        logits = dict(zip(names, np.log(np.maximum(rows, _LEAST_PROBABILITY)).mean(axis=0).tolist(), strict=True))
        at_rest = _mean([{unit: _log_odds(v) for unit, v in p.action_units.items()} for p in predictions])
        rest = {unit: _log_odds(UNITS_AT_REST.get(unit, UNIT_AT_REST)) for unit in at_rest}
        moved = {unit: _SHARE * (rest[unit] - odds) for unit, odds in at_rest.items()}
        units = {unit: min(max(addend, -MAX_BIAS), MAX_BIAS) for unit, addend in moved.items()}
        most = MAX_INTENSITY_AT_REST * MOST_INTENSITY
        intensities = {unit: min(v, most) for unit, v in _mean([p.intensities for p in predictions]).items()}
        if NEUTRAL not in logits:
            return cls(dict.fromkeys(names, 0.0), units, intensities, False)
        excess = {name: logits[name] - logits[NEUTRAL] + _MARGIN for name in names if name != NEUTRAL}
        bias = {name: -min(max(excess.get(name, 0.0), 0.0), MAX_BIAS) for name in names}
        return cls(bias, units, intensities, max(logits[name] + bias[name] for name in excess) < logits[NEUTRAL])

    def apply(self, prediction: FacePrediction) -> FacePrediction:
        """The prediction relative to rest: biased expressions, action units with other log-odds, intensities
        `max(0, (i - rest) / (5 - rest)) * 5`.

        `expression` and `confidence` follow; `state` is left for `TemporalFilter` to decide, `sides` as they are.
        """
        weights = {name: p * math.exp(self.bias[name]) for name, p in prediction.probabilities.items()}
        total = math.fsum(weights.values())
        probabilities = {name: weight / total for name, weight in weights.items()}
        expression = max(probabilities, key=lambda name: probabilities[name])
        return replace(
            prediction,
            expression=expression,
            confidence=probabilities[expression],
            probabilities=probabilities,
            action_units={
                unit: 1 / (1 + math.exp(-_log_odds(p) - self.units[unit]))
                for unit, p in prediction.action_units.items()
            },
            intensities={unit: _above(self.intensities[unit], v) for unit, v in prediction.intensities.items()},
        )


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, _LEAST_OF_UNIT), 1 - _LEAST_OF_UNIT)
    return math.log(bounded / (1 - bounded))


def _mean(readings: Sequence[Mapping[int, float]]) -> dict[int, float]:
    mean = np.array([list(reading.values()) for reading in readings], dtype=np.float64).mean(axis=0)
    return dict(zip(readings[0], mean.tolist(), strict=True))


def _above(rest: float, intensity: float) -> float:
    """What goes beyond rest, stretched to [0, 5]."""
    return max(0.0, (intensity - rest) / (MOST_INTENSITY - rest) * MOST_INTENSITY)


class NeutralCalibration:
    """Collects the predictions of one face for `duration_s` seconds of the images' clock."""

    def __init__(self, duration_s: float) -> None:
        """Check the duration.

        Raises:
            ConfigError: it is not above 0 and finite.
        """
        require(0 < duration_s < math.inf, "duration_s", "be above 0 seconds and finite", duration_s)
        self._duration_s = duration_s
        self._began_s = math.nan
        self._latest_s = math.nan
        self._predictions: list[FacePrediction] = []

    @property
    def frames(self) -> int:
        """How many predictions were used so far; `low_quality` ones are not."""
        return len(self._predictions)

    def add(self, prediction: FacePrediction, stamp_s: float) -> bool:
        """Look at one more prediction, neither smoothed nor corrected; True when the duration is over.

        A stamp before the first one (a bag that starts over) begins the collection anew; one equal to the latest is
        the same image again and adds nothing.
        """
        if not stamp_s >= self._began_s:
            self._began_s, self._latest_s = stamp_s, math.nan
            self._predictions.clear()
        if prediction.state != "low_quality" and stamp_s != self._latest_s:
            self._predictions.append(prediction)
        self._latest_s = stamp_s
        return stamp_s - self._began_s >= self._duration_s

    def profile(self) -> NeutralProfile | None:
        """What was learned; None from fewer than `MIN_FRAMES` predictions."""
        return NeutralProfile.learned(self._predictions) if self.frames >= MIN_FRAMES else None
