"""An exported network in eight-bit integers, and whether its answers stay those of float32."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.engines.base import Engine, EngineOutput
from aue_crl_core.engines.onnx import int8_path
from aue_crl_core.hashing import seal
from aue_crl_core.onnx_session import load_onnxruntime
from aue_crl_core.whole_file import whole_file

CALIBRATION_FACES: Final = 400
_BATCH: Final = 32

if TYPE_CHECKING:
    import onnx

Feed = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two forms of a network on `faces` faces: the share with the same label, and the mean absolute and the largest
    difference of a probability: an action unit's, or an expression's where the network knows no action units."""

    faces: int
    same_label: float
    mean_difference: float
    largest_difference: float


def quantise(model: Path, faces: Sequence[Feed]) -> Path:
    """Write MODEL.int8.onnx beside an exported, float32 MODEL.onnx: its convolutions take integers.

    `faces` are inputs of the network (see `face_batches`): the ranges of what passes are those seen on them. Weights
    keep seven bits, so that sums do not overflow on a processor without VNNI.
    """
    import onnx

    quantization = load_onnxruntime("onnxruntime.quantization")
    shape_inference = load_onnxruntime("onnxruntime.quantization.shape_inference")

    class Faces(quantization.CalibrationDataReader):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            self._rest = iter(faces)

        def get_next(self) -> Feed | None:
            return next(self._rest, None)

    output = int8_path(model)
    with tempfile.TemporaryDirectory() as folder:
        prepared, part = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        shape_inference.quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(part),
            Faces(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_depthwise(onnx.load(prepared)),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        quantised = onnx.load(part)
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(onnx.load(model).metadata_props)
    with whole_file(output) as unfinished:
        onnx.save(quantised, unfinished)
        seal(unfinished)
    return output


def _depthwise(model: onnx.ModelProto) -> list[str]:
    """The convolutions of one channel a group: few multiplications, and their ranges lie too far apart for integers."""
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    groups = {node.name: next((a.i for a in node.attribute if a.name == "group"), 1) for node in convolutions}
    return [n.name for n in convolutions if groups[n.name] > 1 and weights[n.input[1]][1] == 1]


def face_batches(index: DatasetIndex, preprocessing: Preprocessing, most: int | None = None) -> Iterator[Feed]:
    """The labelled faces of an index with points as the network's inputs, evenly taken, `most` in all."""
    data = FaceDataset([index], preprocessing)
    numbers = np.arange(len(data))[:: max(1, len(data) // (most or len(data)))][:most]
    for start in range(0, len(numbers), _BATCH):
        samples = [data[int(number)] for number in numbers[start : start + _BATCH]]
        samples = [sample for sample in samples if bool(sample.has_points)]
        if samples:
            images = np.stack([sample.image.numpy().transpose(1, 2, 0) for sample in samples])
            yield {"images": images, "points": np.stack([sample.points.numpy() for sample in samples])}


def agreement(engines: tuple[Engine, Engine], batches: Iterator[Feed]) -> Agreement:
    """Of a network in one form with itself in another."""
    outputs: list[list[EngineOutput]] = [[], []]
    for feed in batches:
        for engine, seen in zip(engines, outputs, strict=True):
            seen.append(engine.predict(feed["images"], feed["points"]))
    labels = [np.concatenate([out.probabilities.argmax(axis=1) for out in seen]) for seen in outputs]
    what = "action_units" if engines[0].config.action_units else "probabilities"
    said = [np.concatenate([getattr(out, what) for out in seen]) for seen in outputs]
    apart = np.abs(said[0] - said[1])
    same = float((labels[0] == labels[1]).mean())
    return Agreement(len(labels[0]), same, float(apart.mean()), float(apart.max()))
