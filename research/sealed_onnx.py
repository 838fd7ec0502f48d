"""Small networks as the ONNX files that the package comes with, each with a hash of itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from aue_crl_core.hashing import UNSEALED, seal


def write_sealed(
    network: nn.Module, example: Tensor, path: Path, outputs: Sequence[str], axes: Mapping[str, Mapping[int, str]]
) -> None:
    """Write a network of one input, `grey`, of which `example` is one; `axes` names the sizes that may differ."""
    was = network.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of the exporter that makes sizes dynamic
        torch.onnx.export(
            network.eval(),
            (example,),
            str(path),
            input_names=["grey"],
            output_names=list(outputs),
            dynamic_axes={name: dict(sizes) for name, sizes in axes.items()},
            dynamo=False,
        )
    network.train(was)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"aue_crl": UNSEALED})
    onnx.save(model, path)
    seal(path)
