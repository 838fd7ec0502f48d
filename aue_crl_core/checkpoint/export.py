"""From a checkpoint to ONNX: two graphs that take crops as bytes and carry the checkpoint's metadata."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from aue_crl_core.checkpoint.file import METADATA_KEY, CheckpointInfo, load_network
from aue_crl_core.config import require
from aue_crl_core.engines.base import Crops, EngineOutput
from aue_crl_core.engines.onnx import OnnxEngine, landmarks_path
from aue_crl_core.engines.torch import TorchEngine
from aue_crl_core.hashing import seal
from aue_crl_core.networks.deployed import DeployedExpressionNet, DeployedLandmarkNet
from aue_crl_core.networks.folded import fold
from aue_crl_core.types import Image
from aue_crl_core.whole_file import whole_file

OPSET = 17
_SMALLEST_HALVED = 256


def export_onnx(checkpoint: Path, output: Path, half: bool = False) -> tuple[Path, Path]:
    """Write `output` (expression network) and its landmark net beside it; the batch dimension is dynamic.

    `half` stores the weights as float16 and casts them when the model is loaded: half the file, the same speed; for
    equal outputs, the checkpoint must hold float16 weights too.

    Raises:
        CheckpointError: see `load_network`.
        ConfigError: `output` does not end in .onnx.
    """
    require(output.suffix == ".onnx", "output", "end in .onnx", str(output))
    network, info = load_network(checkpoint)
    fold(network)
    size, landmark_size = network.config.preprocessing.input_size, network.landmark_net.input_size
    images = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    points = torch.rand(2, 68, 2) * size
    landmark_images = torch.zeros(2, landmark_size, landmark_size, 3, dtype=torch.uint8)
    output.parent.mkdir(parents=True, exist_ok=True)
    _export(DeployedExpressionNet(network), (images, points), output, info, half)
    _export(DeployedLandmarkNet(network), (landmark_images,), landmarks_path(output), info, half)
    return output, landmarks_path(output)


def largest_difference(checkpoint: Path, exported: Path, images: Sequence[Image]) -> float:
    """The largest difference of any output between torch on `checkpoint` and onnxruntime on `exported`.

    `images` HxWx3 uint8 RGB, each is one crop after resizing; the face points are those that torch finds in it, in
    units of the crop's side (so that one pixel's difference weighs as much on any input size); all else probabilities.
    """
    reference, engine = TorchEngine(checkpoint), OnnxEngine(exported)

    def crops(size: int) -> Crops:
        return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images])

    landmark_crops, size = crops(reference.landmark_size), reference.config.preprocessing.input_size
    points, scores = reference.landmarks(landmark_crops)
    other_points, other_scores = engine.landmarks(landmark_crops)
    pairs = [(points / reference.landmark_size, other_points / reference.landmark_size), (scores, other_scores)]
    scaled = (points + 0.5) * np.float32(size / reference.landmark_size) - np.float32(0.5)
    ours, theirs = reference.predict(crops(size), scaled), engine.predict(crops(size), scaled)
    pairs += [(getattr(ours, f.name), getattr(theirs, f.name)) for f in dataclasses.fields(EngineOutput)]
    return max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)


def _export(module: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path, info: CheckpointInfo, half: bool) -> None:
    names = [*module.input_names, *module.output_names]
    legacy = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with whole_file(path) as part:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of the exporter that makes dynamic batches
            torch.onnx.export(
                module.eval(),
                inputs,
                str(part),
                input_names=list(module.input_names),
                output_names=list(module.output_names),
                dynamic_axes={name: {0: "batch"} for name in names},
                opset_version=OPSET,
                # batch normalisation stays apart where weights are halved: folded into them, it would be rounded anew
                training=torch.onnx.TrainingMode.PRESERVE if half else torch.onnx.TrainingMode.EVAL,
                do_constant_folding=not half,
                **legacy,
            )
        model = onnx.load(part)
        _keep_inputs(model, dict(zip(module.input_names, inputs, strict=True)))
        if half:
            _halve_weights(model)
        helper.set_model_props(model, {METADATA_KEY: info.to_json()})
        onnx.checker.check_model(model)
        onnx.save(model, part)
        seal(part)


def _keep_inputs(model: onnx.ModelProto, inputs: dict[str, torch.Tensor]) -> None:
    """Have the graph take what the network does not look at too (the exporter leaves it out): engines feed it all."""
    taken = {value.name for value in model.graph.input}
    for name, tensor in inputs.items():
        if name not in taken:
            kind = helper.np_dtype_to_tensor_dtype(tensor.numpy().dtype)
            model.graph.input.append(helper.make_tensor_value_info(name, kind, ["batch", *tensor.shape[1:]]))


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
