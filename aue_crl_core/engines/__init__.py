"""Engines that run the networks, and where weights are found."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final, Literal, get_args

from aue_crl_core.config import require
from aue_crl_core.engines.base import Engine, EngineOutput, Precision
from aue_crl_core.engines.spare import SparingEngine
from aue_crl_core.errors import CheckpointError, ConfigError, MissingDependencyError, import_failure, training_imports

__all__ = ["Engine", "EngineName", "EngineOutput", "Precision", "find_weights", "make_engine"]

EngineName = Literal["onnx", "torch", "openvino"]
ENGINES: Final = get_args(EngineName)
WEIGHTS_DIRECTORY: Final = Path(__file__).parents[1] / "weights"
_SUFFIXES: Final = {"onnx": ".onnx", "torch": ".safetensors", "openvino": ".onnx"}


def shipped_weights() -> list[str]:
    """Names that `--weights` accepts besides paths."""
    return sorted(p.stem for p in WEIGHTS_DIRECTORY.glob("*.safetensors"))


def find_weights(weights: str | Path, engine: EngineName = "onnx") -> Path:
    """The file behind `--weights`: a shipped name, a file, or the directory of a training run.

    Raises:
        CheckpointError: there is no such file in the form that the engine reads.
    """
    suffix = _SUFFIXES[engine]
    if str(weights) in shipped_weights():
        return WEIGHTS_DIRECTORY / f"{weights}{suffix}"
    path = Path(weights)
    if path.is_dir():
        path = path / f"best{suffix}"
    if not path.exists():
        raise CheckpointError(
            f"weights must be one of {shipped_weights()}, a file or a run's directory, got {str(weights)!r}"
            + (f" ({path} does not exist)" if path != Path(weights) else "")
            + _other_form_hint(path, engine)
        )
    if path.suffix == suffix:
        return path
    sibling = path.with_suffix(suffix)
    if sibling.is_file():
        return sibling
    raise CheckpointError(f"the {engine} engine reads {suffix} files, got {path}" + _other_form_hint(sibling, engine))


def _other_form_hint(path: Path, engine: EngineName) -> str:
    """What to do where `path` does not exist and the file of the other engine, beside it, does."""
    if engine != "torch" and (checkpoint := path.with_suffix(_SUFFIXES["torch"])).is_file():
        return f"; make one with: aue-crl export --weights {checkpoint} --output {path}, or use --engine torch"
    if engine == "torch" and path.with_suffix(_SUFFIXES["onnx"]).is_file():
        return "; use --engine onnx, or give the .safetensors checkpoint that the model was exported from"
    return ""


def make_engine(
    weights: str | Path = "edge",
    engine: EngineName = "onnx",
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "auto",
) -> Engine:
    """Load `weights` (see `find_weights`) on `device`: `cpu`, `cuda` or `cuda:N`; `threads` None: the engine's choice;
    `precision` see `OnnxEngine`, `TorchEngine`, `OpenVinoEngine`. Where memory runs out it goes on (`SparingEngine`).

    Raises:
        CheckpointError: weights that are missing or damaged.
        ConfigError: no such engine or precision, a device that is not there, or `threads` below 1.
        MissingDependencyError: the engine's package is not installed.
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be at least 1, or None for the engine's own choice, got {threads}")
    require(precision in get_args(Precision), "precision", f"be one of {', '.join(get_args(Precision))}", precision)
    path = find_weights(weights, engine)
    makers = {"onnx": _make_onnx, "torch": _make_torch, "openvino": _make_openvino}
    make = partial(makers[engine], path, threads=threads, precision=precision)
    return SparingEngine(make(device), None if device == "cpu" else partial(make, "cpu"))


def _make_torch(path: Path, device: str, threads: int | None, precision: Precision) -> Engine:
    require(precision != "int8", "precision", "be auto, fp32 or bf16 with the torch engine", precision)
    with training_imports("the torch engine"):
        from aue_crl_core.engines.torch import TorchEngine

    return TorchEngine(path, device, threads, precision)


def _make_onnx(path: Path, device: str, threads: int | None, precision: Precision) -> Engine:
    require(precision != "bf16", "precision", "be auto, fp32 or int8 with the onnx engine", precision)
    from aue_crl_core.engines.onnx import OnnxEngine

    return OnnxEngine(path, device, threads, precision)


def _make_openvino(path: Path, device: str, threads: int | None, precision: Precision) -> Engine:
    require(precision != "int8", "precision", "be auto, fp32 or bf16 with the openvino engine", precision)
    from aue_crl_core.engines.openvino import OpenVinoEngine, load_openvino

    try:
        load_openvino()
    except ImportError as error:
        reason = import_failure(error, "openvino")
        raise MissingDependencyError("openvino", "openvino", "the openvino engine", reason) from error
    return OpenVinoEngine(path, device, threads, precision)
