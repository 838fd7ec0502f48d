"""`aue-crl bench --limits`: what each part must cost on this machine, beside what it does cost.

A part's floor is the longer of two times: its multiply-adds at this machine's matrix rate, and its bytes (weights,
input and output, each touched once) at its bandwidth. Both are measured here, with as many threads as the parts have:
on a machine that does other work at that moment the rate comes out low, and a ratio below 1 says so.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import model_config
from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_core.onnx_session import make_session

_MATRIX: Final = 1024
_COPY_BYTES: Final = 1 << 28
_TRIES: Final = 7
_COUNTED: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")

Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Machine:
    """Multiply-adds a second of float32 matrix products in onnxruntime, and bytes a second read and written by a
    copy."""

    multiply_adds: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Limit:
    """One row: a part's multiply-adds, bytes, floor and measured median time in milliseconds."""

    part: str
    multiply_adds: int
    bytes: int
    floor_ms: float
    measured_ms: float

    @property
    def ratio(self) -> float:
        """How many times the floor was measured."""
        return self.measured_ms / self.floor_ms


def measure_machine(threads: int) -> Machine:
    """The best of a few tries: what the machine can do, not what it does while others use it."""
    onnx = _onnx()
    shape = [_MATRIX, _MATRIX]
    a, b, c = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n in "abc")
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["a", "b"], ["c"])], "rate", [a, b], [c])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = make_session(model.SerializeToString(), threads=threads, name="a matrix product")
    values = np.random.default_rng(0).normal(size=(2, _MATRIX, _MATRIX)).astype(np.float32)
    product = _best(lambda: session.run(None, {"a": values[0], "b": values[1]}))
    source = np.ones(_COPY_BYTES // 8)
    target = np.zeros_like(source)
    copy = _best(lambda: np.copyto(target, source))
    return Machine(_MATRIX**3 / product, 2 * _COPY_BYTES / copy)


def limit_of(part: str, model: bytes, feed: Feed, machine: Machine, measured_ms: float) -> Limit:
    """The row of an ONNX model that takes `feed`."""
    return known_limit(part, *cost_of(model, feed), machine, measured_ms)


def known_limit(part: str, multiply_adds: int, size: int, machine: Machine, measured_ms: float) -> Limit:
    """The row of a part of which the multiply-adds and bytes are known."""
    floor = max(multiply_adds / machine.multiply_adds, size / machine.bandwidth)
    return Limit(part, multiply_adds, size, 1e3 * floor, measured_ms)


def cost_of(model: bytes, feed: Feed) -> tuple[int, int]:
    """Multiply-adds of all convolutions and matrix products of an ONNX model that takes `feed`, and the bytes of its
    weights, input and output.

    Raises:
        MissingDependencyError: onnx is not installed.
    """
    onnx = _onnx()
    loaded = onnx.load_model_from_string(model)
    counted = [node for node in loaded.graph.node if node.op_type in _COUNTED]
    outputs = [value.name for value in loaded.graph.output]
    known = {value.name for value in loaded.graph.input}
    wanted = {name for node in counted for name in (*node.input[:2], node.output[0])} - known - set(outputs)
    loaded.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted))
    session = make_session(loaded.SerializeToString(), threads=1, name="the model, all its steps told")
    found = dict(zip([*outputs, *sorted(wanted)], session.run(None, dict(feed)), strict=True))
    shapes = {name: array.shape for name, array in (*found.items(), *feed.items())}
    weights = (
        prod(t.dims) * onnx.helper.tensor_dtype_to_np_dtype(t.data_type).itemsize for t in loaded.graph.initializer
    )
    passed = sum(array.nbytes for array in feed.values()) + sum(found[name].nbytes for name in outputs)
    return sum(_multiply_adds(node, shapes) for node in counted), sum(weights) + passed


@contextmanager
def paper_network() -> Iterator[tuple[Path, Feed]]:
    """The file of the paper's network with random weights, and one face for it.

    Raises:
        MissingDependencyError: torch or onnx is not installed.
    """
    try:
        import torch

        from aue_crl_core.checkpoint import CheckpointInfo, save_network
        from aue_crl_core.checkpoint.export import export_onnx
        from aue_crl_core.networks.build import build_network
    except ImportError as error:
        raise MissingDependencyError("torch", "train", "--limits", import_failure(error, "torch")) from error
    torch.manual_seed(0)
    config = model_config("resnet101")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, model = Path(folder) / "resnet101.safetensors", Path(folder) / "resnet101.onnx"
        save_network(checkpoint, build_network(config), CheckpointInfo(config))
        export_onnx(checkpoint, model)
        checkpoint.unlink()
        yield model, random_face(config.preprocessing.input_size)


def random_face(size: int) -> Feed:
    """Inputs of an expression network, of its image size."""
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 256, (1, size, size, 3), dtype=np.uint8),
        "points": rng.uniform(0.2 * size, 0.8 * size, (1, 68, 2)).astype(np.float32),
    }


def _multiply_adds(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    first, second, output = (shapes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type == "Conv":
        return prod(output) * prod(second[1:])
    if node.op_type == "ConvTranspose":
        return prod(first) * prod(second[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return prod(output) * first[0 if transposed else -1]


def _best(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _onnx() -> Any:
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise MissingDependencyError("onnx", "train", "--limits", import_failure(error, "onnx")) from error
    return onnx
