"""What runs the networks: one protocol, several engines, the same figures from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import ModelConfig

Floats = NDArray[np.float32]
Crops = NDArray[np.uint8]
Precision = Literal["auto", "fp32", "int8"]
"""What the expression network is computed in."""


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """Float32 arrays for B faces.

    `probabilities` and `expression_probabilities` BxC, rows with sum 1, of the whole network and of the expression
    branch alone; `action_units` Bx17 in [0, 1]; `attention` Bx17, rows with sum 1.
    """

    probabilities: Floats
    expression_probabilities: Floats
    action_units: Floats
    attention: Floats


class Engine(Protocol):
    """Runs the landmark net and the expression network on batches of crops."""

    name: str
    device: str
    config: ModelConfig
    landmark_size: int

    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """Crops uint8 BxLxLx3 RGB (L = `landmark_size`) -> points Bx68x2 in crop pixels, face scores B in [0, 1]."""
        ...

    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """Crops uint8 BxSxSx3 RGB (S = `config.preprocessing.input_size`) and points Bx68x2 in crop pixels."""
        ...

    def close(self) -> None:
        """Let go of the networks and of the device's memory; nothing else can be called afterwards."""
        ...
