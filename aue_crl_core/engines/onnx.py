"""onnxruntime: the default engine; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aue_crl_core.config import ModelConfig, from_dict
from aue_crl_core.engines.base import (
    Crops,
    EngineOutput,
    Floats,
    Precision,
    check_intact,
    finite,
    out_of_memory,
    tells_of_no_memory,
)
from aue_crl_core.engines.parts import BatchSession
from aue_crl_core.engines.processor import multiplies_int8, processors
from aue_crl_core.errors import CheckpointError, ConfigError, brief
from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.onnx_session import make_session
from aue_crl_core.text import json_object

_Shape = tuple[int, ...]

METADATA_KEY = "aue_crl"
LANDMARKS_SUFFIX = ".landmarks.onnx"
INT8_SUFFIX = ".int8.onnx"


def landmarks_path(path: Path) -> Path:
    """Where the landmark net of an exported model lies: MODEL.landmarks.onnx beside MODEL.onnx."""
    return path.with_name(path.stem + LANDMARKS_SUFFIX)


def int8_path(path: Path) -> Path:
    """Where the same network in eight-bit integers lies: MODEL.int8.onnx beside MODEL.onnx."""
    return path.with_name(path.stem + INT8_SUFFIX)


class OnnxEngine:
    """onnxruntime over the two files that `aue-crl export` writes.

    `threads`: processor threads for one call (None: all that this process may use). Several faces are shared out to
    them (`parts`). `precision`: `fp32`;
    `int8`, the expression network of MODEL.int8.onnx; `auto`, that where it is there and the device is a processor
    that multiplies eight-bit integers faster.

    Raises:
        CheckpointError: a file is missing, damaged or not one of this project's.
        ConfigError: the device is not available to this onnxruntime.
        MissingDependencyError: onnxruntime is not installed.
    """

    name = "onnx"

    def __init__(
        self, path: Path, device: str = "cpu", threads: int | None = None, precision: Precision = "fp32"
    ) -> None:
        self.device = device
        whole = int8_path(path)
        if precision == "auto":
            precision = "int8" if device == "cpu" and whole.is_file() and multiplies_int8() else "fp32"
        self.precision = precision
        self._file = whole if precision == "int8" else path
        hands = (threads or processors()) if device == "cpu" else 1
        self._pool = ThreadPoolExecutor(hands - 1, "faces") if hands > 1 else None

        self._landmarks_file = landmarks_path(path)
        self._expression, self._landmarks = self._opened(threads, hands)
        self.config = _config(self._expression.whole, self._file)
        size = self.config.preprocessing.input_size
        classes, units = len(self.config.expressions), len(self.config.action_units)
        inputs = {"images": (size, size, 3), "points": (NUM_POINTS, 2)}
        told = [(len(self.config.intensity_units),)] if self.config.intensity_units else []
        _check_form(self._expression.whole, self._file, inputs, [(classes,), (classes,), (units,), (units,), *told])
        self.landmark_size = _side(self._landmarks.whole)
        crops = {"images": (self.landmark_size, self.landmark_size, 3)}
        _check_form(self._landmarks.whole, self._landmarks_file, crops, [(NUM_POINTS, 2), ()])

    def _opened(self, threads: int | None, hands: int) -> list[BatchSession]:
        """The models of both files, which onnxruntime optimises beside each other."""
        for file in (self._file, self._landmarks_file):
            _check_file(file)
        with ThreadPoolExecutor(hands) as opening:
            begun = [
                self._begin_expression(opening, threads, hands),
                self._begin(opening, self._landmarks_file, threads, hands),
            ]
            return [opened() for opened in begun]

    def _begin_expression(self, opening: Executor, threads: int | None, hands: int) -> Callable[[], BatchSession]:
        """Begin to open the expression network's file; the result waits for it."""
        return self._begin(opening, self._file, threads, hands)

    def _begin(self, opening: Executor, file: Path, threads: int | None, hands: int) -> Callable[[], BatchSession]:
        whole = opening.submit(make_session, file, self.device, threads)
        single = self._pool and opening.submit(make_session, file, self.device, 1)
        return lambda: BatchSession(whole.result(), single and single.result(), self._pool, hands)

    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """See `Engine`."""
        points, scores = finite(self._run(self._landmarks, images=crops), self._landmarks_file)
        return points, scores

    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """See `Engine`."""
        return EngineOutput.of(finite(self._run(self._expression, images=crops, points=points), self._file))

    def _run(self, session: BatchSession, **inputs: NDArray[Any]) -> Sequence[Floats]:
        try:
            return session.run(inputs)
        except Exception as error:
            if tells_of_no_memory(error):
                raise out_of_memory(self.device, len(inputs["images"]), error) from error
            raise

    def close(self) -> None:
        """See `Engine`."""
        del self._expression, self._landmarks
        if self._pool is not None:
            self._pool.shutdown()


def _check_file(path: Path) -> None:
    if not path.is_file():
        plain = path.with_name(path.name.removesuffix(INT8_SUFFIX) + path.suffix) if _is_int8(path) else path
        how = " --precision int8 --calibrate INDEX" if _is_int8(path) else ""
        raise CheckpointError(
            f"no ONNX model at {path}; make one with: aue-crl export --weights CHECKPOINT --output {plain}{how}"
        )
    check_intact(path)


def _is_int8(path: Path) -> bool:
    return path.name.endswith(INT8_SUFFIX)


def _side(session: Any) -> int:
    """Of the crops that a landmark net takes; 0 for another model."""
    sides = [side for i in session.get_inputs() for side in i.shape[1:2]]
    return sides[0] if len(sides) == 1 and isinstance(sides[0], int) else 0


def _config(session: Any, path: Path) -> ModelConfig:
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} has metadata that is not UTF-8: {error}; export it again") from error
    if text is None:
        raise CheckpointError(f"{path} has no '{METADATA_KEY}' metadata; export it with: aue-crl export")
    values = json_object(text, f"the metadata of {path}", CheckpointError)
    try:
        return from_dict(ModelConfig, values.get("config"), str(path))  # type: ignore[arg-type]
    except ConfigError as error:
        raise CheckpointError(f"{path} holds a configuration that this version cannot use: {error}") from error


def _check_form(session: Any, path: Path, inputs: dict[str, _Shape], outputs: list[_Shape]) -> None:
    """The model takes and gives what this project's models do, in batches of any size; sizes of outputs may be open.

    Raises:
        CheckpointError: it is a model of another kind.
    """
    taken = {i.name: tuple(i.shape) for i in session.get_inputs()}
    given = [tuple(o.shape) for o in session.get_outputs()]
    same = len(given) == len(outputs) and all(map(_fits, given, outputs))
    if not same or {name: shape[1:] for name, shape in taken.items()} != inputs:
        raise CheckpointError(
            f"{path} must be a model that aue-crl export wrote, with the inputs {inputs} and outputs {outputs} "
            f"behind the batch, got {brief(taken)} and {brief(given)}"
        )


def _fits(given: tuple[Any, ...], wanted: _Shape) -> bool:
    sizes = given[1:]
    return len(sizes) == len(wanted) and all(
        g == w or not isinstance(g, int) for g, w in zip(sizes, wanted, strict=True)
    )
