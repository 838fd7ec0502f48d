"""One epoch of training and one pass of validation, the same for every stage."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import Sample
from aue_crl_core.errors import TrainingError
from aue_crl_core.evaluation.metrics import compute
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training.ema import WeightAverage
from aue_crl_core.training.stages import Setting, Stage, normalised_point_error, sample_points

Figures = dict[str, float]

_REMEDY = (
    "the files of the epochs before are kept; lower that stage's lr in --config (or set precision: fp32) and start in "
    "another --output, from the last finished stage with --init"
)


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 Bx3xSxS RGB -> float32 Bx3xSxS, normalised, channels-last."""
    mean = torch.tensor(preprocessing.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).view(1, 3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def autocast(device: str, precision: str) -> AbstractContextManager:
    """bf16 where asked for; `auto`: where the processor computes in it."""
    if precision == "auto":
        kind = torch.device(device).type
        precision = "bf16" if _computes_bf16(kind) else "fp32"
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def _computes_bf16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # torch 2.6 and up
    return kind == "cpu" and probe is not None and probe()


def train_one_epoch(
    network: AueCrl,
    stage: Stage,
    setting: Setting,
    loader: Iterable[Sample],
    optimizer: torch.optim.Optimizer,
    set_lr: Callable[[float], None],
    epoch: int,
    steps: int,
    device: str,
    average: WeightAverage | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Figures:
    """One epoch over `loader` of `steps` batches; returns the mean of each loss term.

    Raises:
        TrainingError: a loss that is not finite; weights and state on disk are those of the epoch before.
    """
    stage.prepare(network, setting.prior, training=True)
    sums: Figures = defaultdict(float)
    for step, sample in enumerate(loader):
        set_lr(epoch + step / steps)
        sample = Sample(*(t.to(device, non_blocking=True) for t in sample))
        images = normalise(sample.image, network.config.preprocessing)
        with autocast(device, setting.config.precision):
            terms = stage.loss(network, images, sample, setting)
        loss = torch.stack(list(terms.values())).sum()
        value = loss.item()
        if not math.isfinite(value):
            shown = ", ".join(f"{name} {t.item():.4g}" for name, t in terms.items())
            raise TrainingError(
                f"the loss must be finite, got {value} in stage {stage.name}, epoch {epoch + 1}, batch {step + 1} "
                f"({shown}); {_REMEDY}"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if stage.trains_prior:
            setting.prior.clamp_()
        if average:
            average.update()
        for name, term in terms.items():
            sums[name] += term.item()
        on_step(step, value)
    return {name: total / steps for name, total in sums.items()}


@torch.inference_mode()
def validate(network: AueCrl, stage: Stage, setting: Setting, loader: Iterable[Sample], device: str) -> Figures:
    """The stage's figures on a validation set: each loss term, and what its `score` names.

    Raises:
        TrainingError: a figure that is not finite (the last step of an epoch can spoil the weights unseen by its loss).
    """
    stage.prepare(network, setting.prior, training=False)
    network.eval()
    sums: Figures = defaultdict(float)
    count = 0
    labels, probabilities = [], []
    for sample in loader:
        sample = Sample(*(t.to(device) for t in sample))
        images = normalise(sample.image, network.config.preprocessing)
        size = len(images)
        count += size
        if stage.logits is None:
            for name, term in stage.loss(network, images, sample, setting).items():
                sums[name] += term.item() * size
            if stage.name == "landmark":
                error = normalised_point_error(network.landmark_net(images)[0], sample.points)
                sums["point_error"] += error.mean().item() * size
            continue
        if stage.logits == "fused":
            logits = network(images, sample_points(network, images, sample)).fused_logits
        else:
            logits = network.expression_only(images)
        labels.append(sample.target.argmax(dim=1).cpu().numpy())
        if not logits.isfinite().all():
            raise TrainingError(f"the logits of stage {stage.name} must be finite, got NaN or inf; {_REMEDY}")
        probabilities.append(logits.float().softmax(dim=1).cpu().numpy())
    figures = {name: total / count for name, total in sums.items()}
    if not all(map(math.isfinite, figures.values())):
        raise TrainingError(f"the figures of stage {stage.name} must be finite, got {figures}; {_REMEDY}")
    if labels:
        metrics = compute(np.concatenate(labels), np.concatenate(probabilities), network.config.expressions)
        figures |= {
            "accuracy": metrics.accuracy,
            "mean_class_accuracy": metrics.mean_class_accuracy,
            "score": (metrics.accuracy + metrics.mean_class_accuracy) / 2,
        }
    return figures
