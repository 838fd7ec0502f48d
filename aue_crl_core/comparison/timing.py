"""How long a network needs for one face where it will run: in onnxruntime, on one thread."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from aue_crl_core.checkpoint import CheckpointInfo, save_network
from aue_crl_core.checkpoint.export import export_onnx
from aue_crl_core.config import ModelConfig
from aue_crl_core.engines.onnx import OnnxEngine
from aue_crl_core.networks import build_network

_WARM_UP: Final = 5
_RUNS: Final = 60


def milliseconds(config: ModelConfig) -> float:
    """The median time of one face, cut out and its points known, on a machine that should do nothing else; weights are
    random, which is nothing to the time."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, model = Path(folder) / "network.safetensors", Path(folder) / "network.onnx"
        save_network(checkpoint, build_network(config), CheckpointInfo(config))
        engine = OnnxEngine(export_onnx(checkpoint, model)[0], threads=1)
        size = config.preprocessing.input_size
        rng = np.random.default_rng(0)
        crop = rng.integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        points = rng.uniform(0.2 * size, 0.8 * size, (1, 68, 2)).astype(np.float32)
        taken = []
        for _ in range(_WARM_UP + _RUNS):
            began = time.perf_counter()
            engine.predict(crop, points)
            taken.append(time.perf_counter() - began)
    return 1e3 * float(np.median(taken[_WARM_UP:]))
