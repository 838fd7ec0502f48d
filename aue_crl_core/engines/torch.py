"""torch: for CUDA, and to check the other engines against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from aue_crl_core.checkpoint import load_network
from aue_crl_core.engines.base import Crops, EngineOutput, Floats, Precision, finite, out_of_memory, tells_of_no_memory
from aue_crl_core.errors import ConfigError
from aue_crl_core.networks.deployed import DeployedExpressionNet, DeployedLandmarkNet, InBfloat16
from aue_crl_core.networks.network import FaceNetwork


def precision_of(asked: Precision) -> Precision:
    """What `asked` comes to in torch: `auto` is `fp32`."""
    return "bf16" if asked == "bf16" else "fp32"


def deployed_in(precision: Precision, network: FaceNetwork, device: str) -> nn.Module:
    """The expression network as an engine runs it, on `device`; see `InBfloat16` for `bf16`."""
    deployed = DeployedExpressionNet(network).eval().to(device)
    return InBfloat16(deployed) if precision == "bf16" else deployed


class TorchEngine:
    """A checkpoint on any torch device.

    `precision`: `fp32`, which `auto` is too; `bf16`, see `InBfloat16`.

    Raises:
        CheckpointError: the file is missing, damaged or of another vocabulary.
        ConfigError: the device is not available.
    """

    name = "torch"

    def __init__(
        self, path: Path, device: str = "cpu", threads: int | None = None, precision: Precision = "fp32"
    ) -> None:
        _check_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        self.device = device
        self.precision = precision_of(precision)
        self._file = path
        network, info = load_network(path, device)
        network = network.to(memory_format=torch.channels_last)
        self.config = info.config
        self.landmark_size = network.landmark_net.input_size
        self._expression = deployed_in(self.precision, network, device)
        self._landmarks = DeployedLandmarkNet(network).eval().to(device)

    @torch.inference_mode()
    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """See `Engine`."""
        points, scores = finite(self._run(self._landmarks, crops), self._file)
        return points, scores

    @torch.inference_mode()
    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """See `Engine`."""
        return EngineOutput.of(finite(self._run(self._expression, crops, points), self._file))

    def _run(self, module: nn.Module, *arrays: NDArray[Any]) -> list[Floats]:
        try:
            return [o.cpu().numpy() for o in module(*(torch.from_numpy(a).to(self.device) for a in arrays))]
        except (RuntimeError, MemoryError) as error:
            short = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
            if short or tells_of_no_memory(error):
                raise out_of_memory(self.device, len(arrays[0]), error) from error
            raise

    def close(self) -> None:
        """See `Engine`."""
        del self._expression, self._landmarks
        if torch.device(self.device).type == "cuda":
            torch.cuda.empty_cache()


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device must be one that torch knows (cpu, cuda, cuda:N), got {name!r}") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(
            f"device must be available to torch, which sees {count} CUDA devices, got {name!r}; use --device cpu"
        )
