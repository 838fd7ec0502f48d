"""The state of an unfinished stage, as safetensors: what `--resume` needs to go on as if nothing had happened."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from aue_crl_core.checkpoint import write_tensors
from aue_crl_core.errors import TrainingError
from aue_crl_core.training.processes.processes import ALONE, Processes
from aue_crl_core.training.weights.ema import WeightAverage

STATE_FILE = "state.safetensors"


@dataclass
class Progress:
    """How far a stage is: `epoch` is the next one to run; `best` the best score so far, `since_best` epochs ago.

    `figures`: what validation said after the last epoch; `kept`: what is said of the start and still true. `license`
    and `initialised_from`: see `CheckpointInfo`.
    """

    stage: str
    epoch: int = 0
    best: float | None = None
    since_best: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    license: str = "Apache-2.0"
    initialised_from: str = ""
    ema_steps: int = 0
    optimizer_groups: list[dict[str, Any]] = field(default_factory=list)


def save_state(
    directory: Path,
    progress: Progress,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
) -> None:
    """Write the state atomically."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        tensors.update({f"{prefix}/{k}": v for k, v in module.state_dict().items()})
    saved = optimizer.state_dict()
    for number, entries in saved["state"].items():
        tensors.update({f"optimizer/{number}/{k}": torch.as_tensor(v) for k, v in entries.items() if v is not None})
    if average:
        tensors.update({f"average/{i}": t for i, t in enumerate(average.averages)})
        progress.ema_steps = average.steps
    progress.optimizer_groups = saved["param_groups"]
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_tensors(directory / STATE_FILE, plain, {"progress": json.dumps(asdict(progress))})


def read_progress(directory: Path) -> Progress | None:
    """The progress of an unfinished stage; None if there is none.

    Raises:
        TrainingError: the state file is damaged.
    """
    path = directory / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            return Progress(**json.loads(file.metadata()["progress"]))
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise TrainingError(
            f"{path} must be the state of an unfinished stage, got: {error}; "
            "remove it to train that stage from its start"
        ) from error


def _read_state(directory: Path) -> tuple[Progress, dict[str, Tensor]]:
    progress = read_progress(directory)
    if progress is None:
        raise TrainingError(f"no state of an unfinished stage in {directory}; train without --resume")
    return progress, load_file(directory / STATE_FILE)


def load_state(
    directory: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    processes: Processes = ALONE,
) -> Progress:
    """Put a saved state back into modules, optimiser and average; returns its progress.

    Of several processes the first reads it for all.

    Raises:
        TrainingError: there is no state, or it is of another network or optimiser.
    """
    progress, tensors = processes.share_tensors(lambda: _read_state(directory))
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition("/")
        parts.setdefault(prefix, {})[rest] = tensor
    for prefix, module in modules.items():
        try:
            module.load_state_dict(parts.get(prefix, {}))
        except RuntimeError as error:
            raise TrainingError(f"the state in {directory} is of another {prefix}: {error}") from error
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts.get("optimizer", {}).items():
        number, _, key = name.partition("/")
        entries.setdefault(int(number), {})[key] = tensor
    try:
        optimizer.load_state_dict({"state": entries, "param_groups": progress.optimizer_groups})
    except ValueError as error:
        raise TrainingError(f"the state in {directory} is of another optimiser: {error}") from error
    if average:
        saved = parts.get("average", {})
        if len(saved) != len(average.averages):
            raise TrainingError(
                f"the state in {directory} must hold {len(average.averages)} averaged tensors, got {len(saved)}"
            )
        for i, tensor in enumerate(average.averages):
            tensor.copy_(saved[str(i)])
        average.steps = progress.ema_steps
    return progress
