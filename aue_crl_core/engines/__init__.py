"""Engines that run the networks, and where weights are found."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from aue_crl_core.engines.base import Engine, EngineOutput
from aue_crl_core.errors import CheckpointError, ConfigError

__all__ = ["Engine", "EngineName", "EngineOutput", "find_weights", "make_engine"]

EngineName = Literal["onnx", "torch"]
ENGINES: Final = ("onnx", "torch")
WEIGHTS_DIRECTORY: Final = Path(__file__).parents[1] / "weights"
_SUFFIXES: Final = {"onnx": ".onnx", "torch": ".safetensors"}


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
            + _export_hint(path, engine)
        )
    if path.suffix == suffix:
        return path
    sibling = path.with_suffix(suffix)
    if sibling.is_file():
        return sibling
    raise CheckpointError(f"the {engine} engine reads {suffix} files, got {path}" + _export_hint(sibling, engine))


def _export_hint(path: Path, engine: EngineName) -> str:
    if engine == "onnx":
        checkpoint = path.with_suffix(".safetensors")
        return f"; make one with: aue-crl export --weights {checkpoint} --output {path}, or use --engine torch"
    return "; use --engine onnx, or give the .safetensors checkpoint"


def make_engine(
    weights: str | Path = "edge", engine: EngineName = "onnx", device: str = "cpu", threads: int | None = None
) -> Engine:
    """Load `weights` (see `find_weights`) on `device`: `cpu`, `cuda` or `cuda:N`; `threads` None: the engine's choice.

    Raises:
        CheckpointError: weights that are missing or damaged.
        ConfigError: no such engine, or a device that is not there.
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    path = find_weights(weights, engine)
    if engine == "torch":
        from aue_crl_core.engines.torch import TorchEngine

        return TorchEngine(path, device, threads)
    from aue_crl_core.engines.onnx import OnnxEngine

    return OnnxEngine(path, device, threads)
