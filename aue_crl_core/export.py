"""From a checkpoint to ONNX: two graphs that take crops as bytes and carry the checkpoint's metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from aue_crl_core.checkpoint import METADATA_KEY, CheckpointInfo, load_network
from aue_crl_core.engines.onnx import landmarks_path
from aue_crl_core.networks.deployed import DeployedExpressionNet, DeployedLandmarkNet

OPSET = 17
_SMALLEST_HALVED = 256


def export_onnx(checkpoint: Path, output: Path, half: bool = False) -> tuple[Path, Path]:
    """Write `output` (expression network) and its landmark net beside it; the batch dimension is dynamic.

    `half` stores the weights as float16 and casts them when the model is loaded: half the file, the same speed; for
    equal outputs, the checkpoint must hold float16 weights too.

    Raises:
        CheckpointError: see `load_network`.
    """
    network, info = load_network(checkpoint)
    size, landmark_size = network.config.preprocessing.input_size, network.landmark_net.input_size
    images = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    points = torch.rand(2, 68, 2) * size
    landmark_images = torch.zeros(2, landmark_size, landmark_size, 3, dtype=torch.uint8)
    output.parent.mkdir(parents=True, exist_ok=True)
    _export(DeployedExpressionNet(network), (images, points), output, info, half)
    _export(DeployedLandmarkNet(network), (landmark_images,), landmarks_path(output), info, half)
    return output, landmarks_path(output)


def _export(module: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path, info: CheckpointInfo, half: bool) -> None:
    names = [*module.input_names, *module.output_names]
    part = path.with_name(path.name + ".part")
    torch.onnx.export(
        module.eval(),
        inputs,
        str(part),
        input_names=list(module.input_names),
        output_names=list(module.output_names),
        dynamic_axes={name: {0: "batch"} for name in names},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(part)
    if half:
        _halve_weights(model)
    helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, part)
    part.replace(path)


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store large float32 weights as float16, each followed by a cast that onnxruntime folds on loading."""
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
        cast = helper.make_node("Cast", [name + ".half"], [name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
