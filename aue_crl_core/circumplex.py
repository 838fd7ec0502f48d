"""Expressions on the plane of valence and arousal: a place that theory gives to a label, not one that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from aue_crl_core import facs

_CIRCUMPLEX: Final = {
    "surprise": (0.40, 0.67),
    "fear": (-0.64, 0.60),
    "disgust": (-0.60, 0.35),
    "happiness": (0.81, 0.51),
    "sadness": (-0.63, -0.27),
    "anger": (-0.51, 0.59),
    "neutral": (0.0, 0.0),
}
_ADVERBS: Final = {
    "happily": "happiness",
    "sadly": "sadness",
    "fearfully": "fear",
    "angrily": "anger",
    "disgustedly": "disgust",
}
_ADJECTIVES: Final = {
    "surprised": "surprise",
    "fearful": "fear",
    "disgusted": "disgust",
    "angry": "anger",
}


def basic_parts(label: str) -> tuple[str, ...]:
    """The basic expressions that a label is made of: "sadly angry" of sadness and anger."""
    if label in _CIRCUMPLEX:
        return (label,)
    adverb, adjective = label.split()
    return _ADVERBS[adverb], _ADJECTIVES[adjective]


def _mean_of_parts(label: str) -> tuple[float, float]:
    valences, arousals = zip(*(_CIRCUMPLEX[part] for part in basic_parts(label)), strict=True)
    return sum(valences) / len(valences), sum(arousals) / len(arousals)


VALENCE_AROUSAL: Final[dict[str, tuple[float, float]]] = {
    label: _mean_of_parts(label) for label in facs.BASIC_EXPRESSIONS + facs.COMPOUND_EXPRESSIONS
}
"""Label -> (valence, arousal), each in [-1, 1].

Basic ones: pleasure and arousal of the like-named emotion terms in Russell & Mehrabian (1977), "Evidence for a
three-factor theory of emotions"; a compound one has the mean of its two parts.
"""


def valence_arousal(probabilities: Mapping[str, float]) -> tuple[float, float]:
    """The mean of `VALENCE_AROUSAL` over labels with these probabilities; each in [-1, 1]."""
    weights = np.array(list(probabilities.values()), np.float64)
    places = np.array([VALENCE_AROUSAL[label] for label in probabilities])
    valence, arousal = np.clip(weights @ places / weights.sum(), -1, 1)
    return float(valence), float(arousal)
