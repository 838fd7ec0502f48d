"""What runs the networks: one protocol, several engines, the same figures from each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import ModelConfig
from aue_crl_core.errors import CheckpointError, DeviceMemoryError
from aue_crl_core.hashing import is_intact

Floats = NDArray[np.float32]
Crops = NDArray[np.uint8]
Precision = Literal["auto", "fp32", "bf16", "int8"]
"""What the expression network is computed in."""


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """Float32 arrays for B faces.

    `probabilities` and `expression_probabilities` BxC, rows with sum 1, of the whole network and of the expression
    branch alone; `action_units` BxU in [0, 1]; `attention` BxU, rows with sum 1; `intensities` BxI in [0, 5]; U and I
    as in `NetworkOutput`.
    """

    probabilities: Floats
    expression_probabilities: Floats
    action_units: Floats
    attention: Floats
    intensities: Floats

    @classmethod
    def of(cls, outputs: Sequence[Floats]) -> EngineOutput:
        """A network's outputs in their order; one that tells no intensities has four."""
        none = np.zeros((len(outputs[0]), 0), np.float32)
        return cls(*outputs) if len(outputs) == len(cls.__slots__) else cls(*outputs, none)


def check_intact(path: Path) -> None:
    """See that a file of weights is as it was written; files of before the hash, and of others, have none.

    Raises:
        CheckpointError: it is not.
    """
    if not is_intact(path):
        raise CheckpointError(
            f"{path} is not as it was written: its content does not fit the hash in it; copy or export it again"
        )


def finite(outputs: Sequence[Floats], weights: Path) -> Sequence[Floats]:
    """What a network said, as it is.

    Raises:
        CheckpointError: some of it is no number.
    """
    if not all(np.isfinite(array).all() for array in outputs):
        raise CheckpointError(
            f"the network of {weights} must give finite numbers, got NaN or infinity: its weights are damaged; copy or "
            "export them again (aue-crl doctor tries the shipped ones)"
        )
    return outputs


_NO_MEMORY: Final = re.compile(
    r"bad alloc|bad_alloc|allocate memory|failed to allocate|can't alloc|could not create a|out of memory|ALLOC_FAILED",
    re.IGNORECASE,
)


def tells_of_no_memory(error: Exception) -> bool:
    """Whether a library's error says that memory ran out, in the words of onnxruntime, OpenVINO, torch, C++, oneDNN,
    CUDA, cuBLAS or cuDNN: most have no error class of its own for it."""
    return _NO_MEMORY.search(str(error)) is not None


def out_of_memory(device: str, faces: int, error: Exception) -> DeviceMemoryError:
    """What to raise for a library's own words for it."""
    words = " ".join(str(error).split())[:200]
    return DeviceMemoryError(
        f"{device} must have memory for {faces} faces at once, got: {words}; use --device cpu, or end other programs"
    )


class Engine(Protocol):
    """Runs the landmark net and the expression network on batches of crops."""

    name: str
    device: str
    precision: Precision
    config: ModelConfig
    landmark_size: int

    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """Crops uint8 BxLxLx3 RGB (L = `landmark_size`) -> points Bx68x2 in crop pixels, face scores B in [0, 1].

        Raises:
            CheckpointError: an output is not finite; so does `predict`.
            DeviceMemoryError: the device has no memory left; so does `predict`.
        """
        ...

    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """Crops uint8 BxSxSx3 RGB (S = `config.preprocessing.input_size`) and points Bx68x2 in crop pixels."""
        ...

    def close(self) -> None:
        """Let go of the networks and of the device's memory; nothing else can be called afterwards."""
        ...
