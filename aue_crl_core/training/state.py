"""The state of an unfinished stage, as safetensors: what `--resume` needs to go on as if nothing had happened."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, safe_open, save_file
from torch import Tensor, nn

from aue_crl_core.training.ema import WeightAverage

STATE_FILE = "state.safetensors"


@dataclass
class Progress:
    """How far a stage is: `epoch` is the next one to run; `best` the best score so far."""

    stage: str
    epoch: int = 0
    best: float | None = None
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
    part = directory / (STATE_FILE + ".part")
    save_file(
        {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, {"progress": json.dumps(asdict(progress))}
    )
    part.replace(directory / STATE_FILE)


def read_progress(directory: Path) -> Progress | None:
    """The progress of an unfinished stage; None if there is none."""
    path = directory / STATE_FILE
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        return Progress(**json.loads(file.metadata()["progress"]))


def load_state(
    directory: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
) -> Progress:
    """Put a saved state back into modules, optimiser and average; returns its progress."""
    progress = read_progress(directory)
    tensors = load_file(directory / STATE_FILE)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition("/")
        parts.setdefault(prefix, {})[rest] = tensor
    for prefix, module in modules.items():
        module.load_state_dict(parts[prefix])
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts.get("optimizer", {}).items():
        number, _, key = name.partition("/")
        entries.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": entries, "param_groups": progress.optimizer_groups})
    if average:
        for i, tensor in enumerate(average.averages):
            tensor.copy_(parts["average"][str(i)])
        average.steps = progress.ema_steps
    return progress
