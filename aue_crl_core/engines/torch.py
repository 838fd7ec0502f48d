"""torch: for CUDA, and to check the other engines against."""

from __future__ import annotations

from pathlib import Path

import torch

from aue_crl_core.checkpoint import load_network
from aue_crl_core.engines.base import Crops, EngineOutput, Floats, finite
from aue_crl_core.errors import ConfigError
from aue_crl_core.networks.deployed import DeployedExpressionNet, DeployedLandmarkNet


class TorchEngine:
    """A checkpoint in float32 on any torch device.

    Raises:
        CheckpointError: the file is missing, damaged or of another vocabulary.
        ConfigError: the device is not available.
    """

    name = "torch"

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None) -> None:
        _check_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        self.device = device
        self._file = path
        network, info = load_network(path, device)
        network = network.to(memory_format=torch.channels_last)
        self.config = info.config
        self.landmark_size = network.landmark_net.input_size
        self._expression = DeployedExpressionNet(network).eval().to(device)
        self._landmarks = DeployedLandmarkNet(network).eval().to(device)

    @torch.inference_mode()
    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """See `Engine`."""
        outputs = self._landmarks(torch.from_numpy(crops).to(self.device))
        points, scores = finite([o.cpu().numpy() for o in outputs], self._file)
        return points, scores

    @torch.inference_mode()
    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """See `Engine`."""
        outputs = self._expression(*(torch.from_numpy(a).to(self.device) for a in (crops, points)))
        return EngineOutput(*finite([o.cpu().numpy() for o in outputs], self._file))

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
