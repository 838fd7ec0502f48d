"""A film of two faces: f1 smiles once, f2 is never well seen."""

from __future__ import annotations

import numpy as np

from aue_crl_core import facs
from aue_crl_core.types import FaceBox, FacePrediction

FRAMES, FPS = 40, 10
SMILE = range(10, 25)
"""Frames in which f1 is happy and shows AU12; before and after it is neutral."""
AWAY = range(30, 34)
"""Frames without any face."""


def prediction(face_id: str, expression: str, confidence: float = 0.9, state: str = "ok") -> FacePrediction:
    rest = (1 - confidence) / 6
    smile = 0.8 if expression == "happiness" else 0.1
    return FacePrediction(
        face_id=face_id,
        box=FaceBox(170, 130, 190, 200),
        expression=expression,
        confidence=confidence,
        probabilities={name: confidence if name == expression else rest for name in facs.BASIC_EXPRESSIONS},
        action_units={unit: smile if unit == 12 else 0.05 for unit in facs.ACTION_UNITS},
        landmarks=np.zeros((68, 2), np.float32),
        state=state,
        intensities={12: 4.2 if expression == "happiness" else 0.3, 25: 1.5},
    )


def faces_of(index: int) -> list[FacePrediction]:
    if index in AWAY:
        return []
    first = prediction("f1", "happiness" if index in SMILE else "neutral", 0.95 if index == 15 else 0.9)
    second = prediction("f2", "anger", 0.3, "uncertain" if index % 2 else "low_quality")
    return [first, second] if index < 20 else [first]
