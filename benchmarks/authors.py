"""The authors' code (HCPLab-SYSU/AUE-CRL) as `training.py` times it: imported from a checkout, never changed here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import torch
from batch import Batch
from timing import Step
from torch import nn

THEIR_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "EM": ("backbone", "reduce_dim_em", "pred_em"),
    "AU": (
        *(f"deconv_layer{i}" for i in (1, 2, 3)),
        *(f"reduce_dim_{i}_au" for i in (1, 2, 3)),
        "Crop_Net_1",
        "Crop_Net_2",
        "pred_au",
        "PriorKnowledgeTable",
    ),
    "Fuse": ("fc_em_fuse_3", "fc_au_fuse_3", "fc_attention_fuse_3", "pred_em_fuse_3", "pred_em"),
}
"""What their scripts train in each experiment."""


@dataclass(frozen=True)
class Upstream:
    """The authors' two modules."""

    loss: ModuleType
    model: ModuleType


def import_upstream(path: Path) -> Upstream:
    """Their modules from a checkout.

    Raises:
        SystemExit: a file is missing or does not import.
    """
    missing = [name for name in ("loss.py", "model.py") if not (path / name).is_file()]
    if missing:
        raise SystemExit(f"--upstream must be a checkout with loss.py and model.py, got {path} without {missing}")
    sys.path.insert(0, str(path))
    try:
        return Upstream(importlib.import_module("loss"), importlib.import_module("model"))
    except (SyntaxError, ImportError) as error:
        raise SystemExit(f"{path} does not import: {error!r}; give a copy that does") from error


def guarded(what: str, run: Callable[[], Any]) -> Any:
    """What `run` returns; where their code stops for want of a GPU or a name, the reason and the end of the script."""
    try:
        return run()
    except (AssertionError, NameError, RuntimeError) as error:
        raise SystemExit(
            f"the authors' {what} does not run here: {error!r}; give a copy that does (--upstream)"
        ) from error


def their_network(upstream: Upstream, device: str) -> nn.Module:
    """Their ResNet-101 with random weights."""
    return guarded("ResNet101", lambda: upstream.model.ResNet101(1024)).to(device)


def their_output(net: nn.Module, experiment: str, batch: Batch) -> Any:
    """Their forward pass."""
    inputs = batch.images if experiment == "EM" else (batch.images, batch.places)
    return guarded("forward pass", lambda: net(inputs, SimpleNamespace(Experiment=experiment)))


def their_step(upstream: Upstream, experiment: str, batch: Batch, device: str) -> Step:
    """A training step as their script does it, without its bookkeeping."""
    net = their_network(upstream, device)
    net.requires_grad_(False)
    for name in THEIR_PARTS[experiment]:
        getattr(net, name).requires_grad_(True)
    net.train()
    if experiment == "Fuse":
        net.backbone.eval()
    optimizer = torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=1e-4, momentum=0.9)
    entropy, pairwise = nn.CrossEntropyLoss(), upstream.loss.Expression_Independent_AU_Loss()

    def step() -> None:
        output = their_output(net, experiment, batch)
        if experiment == "EM":
            loss = entropy(output, batch.labels)
        elif experiment == "AU":
            target = net.get_au_target(batch.labels.cpu())
            loss = upstream.loss.MSELoss()(output, target) + 0.5 * pairwise(output, target)
            loss = loss + upstream.loss.Generate_AU_Loss()(net.PriorKnowledgeTable)
        else:
            first, second, attention = output
            target = net.get_au_target(batch.labels.cpu())
            loss = entropy(first, batch.labels) + entropy(second, batch.labels) + 0.05 * pairwise(attention, target)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        loss.sum().item()

    return step
