"""OpenVINO: the expression network in bfloat16 on a processor that multiplies it; needs the extra `openvino`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from numpy.typing import NDArray

from aue_crl_core.engines.base import Floats, Precision
from aue_crl_core.engines.onnx import METADATA_KEY, OnnxEngine
from aue_crl_core.engines.parts import BatchSession
from aue_crl_core.engines.processor import multiplies_bfloat16
from aue_crl_core.errors import CheckpointError, ConfigError

TELEMETRY: Final = "openvino_telemetry"
_HINTS: Final = {"fp32": "f32", "bf16": "bf16"}


def load_openvino() -> Any:
    """openvino, without the package through which it else writes to Google Analytics when it is imported, and leaves
    a number of its own in the user's home. All imports of it go here; where that package is loaded already, it stays.

    Raises:
        ImportError: it is not installed, or does not import.
    """
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]  # openvino goes on without it
    import openvino

    return openvino


class OpenVinoSession:
    """An ONNX file on OpenVINO, with those calls of an onnxruntime session that `OnnxEngine` makes.

    `precision`: fp32 or bf16. Its threads are not bound to cores: a robot's other programs use them too. Calls from
    several threads wait for each other.

    Raises:
        CheckpointError: OpenVINO cannot run the model.
        ConfigError: OpenVINO does not compute in bfloat16 on this processor.
    """

    def __init__(self, path: Path, threads: int, precision: Precision) -> None:
        self._settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self._core, self._turn = load_openvino().Core(), threading.Lock()
        try:
            self._model = self._core.read_model(str(path))
            self._request = self._open()
        except RuntimeError as error:
            raise CheckpointError(f"{path} must be an ONNX model that this OpenVINO runs, got: {error}") from error
        given = self._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if given != _HINTS[precision]:
            raise ConfigError(
                f"precision must be auto or fp32 with the openvino engine on this processor, got {precision!r}"
            )
        place = ["framework", METADATA_KEY]  # where OpenVINO puts a file's own metadata
        known = self._model.has_rt_info(place)
        self._metadata = {METADATA_KEY: self._model.get_rt_info(place).astype(str)} if known else {}

    def run(self, names: None, feed: dict[str, NDArray[Any]]) -> list[Floats]:
        """All outputs, as `InferenceSession.run(None, feed)` gives them."""
        with self._turn:
            request = self._request or self._open()
            self._request = None  # after a call that found no memory all others fail: the next one opens it anew
            try:
                request.start_async(feed)  # `infer` tells nothing of a failure, and gives what was there before
                request.wait()
            except RuntimeError:
                del request  # and its memory, which the traceback would keep
                raise
            self._request = request
            return [request.get_output_tensor(i).data.copy() for i in range(len(self._model.outputs))]

    def _open(self) -> Any:
        return self._core.compile_model(self._model, "CPU", self._settings).create_infer_request()

    def get_inputs(self) -> list[SimpleNamespace]:
        """Names and shapes; None where a side is open."""
        return [_described(port) for port in self._model.inputs]

    def get_outputs(self) -> list[SimpleNamespace]:
        """As `get_inputs`."""
        return [_described(port) for port in self._model.outputs]

    def get_modelmeta(self) -> SimpleNamespace:
        """What `aue-crl export` wrote into the file."""
        return SimpleNamespace(custom_metadata_map=self._metadata)


def _described(port: Any) -> SimpleNamespace:
    shape = port.get_partial_shape()
    sides = [side.get_length() if side.is_static else None for side in shape]
    return SimpleNamespace(name=port.get_any_name(), shape=sides)


class OpenVinoEngine(OnnxEngine):
    """OpenVINO over the expression network that `aue-crl export` writes, onnxruntime over its landmark net, on the CPU.

    `threads`: as `OnnxEngine`. `precision`: `fp32`; `bf16`, convolutions and products of matrices in bfloat16; `auto`,
    that where the processor multiplies it itself.

    Raises:
        CheckpointError, MissingDependencyError: as `OnnxEngine`.
        ConfigError: another device, or a precision that OpenVINO does not have on this processor.
    """

    name = "openvino"

    def __init__(
        self, path: Path, device: str = "cpu", threads: int | None = None, precision: Precision = "fp32"
    ) -> None:
        if device != "cpu":
            raise ConfigError(f"device must be cpu with the openvino engine, got {device!r}; use --engine onnx")
        if precision == "auto":
            precision = "bf16" if multiplies_bfloat16() else "fp32"
        super().__init__(path, device, threads, precision)

    def _begin_expression(self, opening: Executor, threads: int | None, hands: int) -> Callable[[], BatchSession]:
        session = opening.submit(OpenVinoSession, self._file, hands, self.precision)
        return lambda: BatchSession(session.result())
