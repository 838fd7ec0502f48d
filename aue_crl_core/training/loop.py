"""One epoch of training and one pass of validation, the same for every stage."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import zip_longest
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import Sample
from aue_crl_core.errors import TrainingError
from aue_crl_core.evaluation.metrics import compute
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.config import TrainConfig
from aue_crl_core.training.processes.processes import ALONE
from aue_crl_core.training.stages import FeatureBatch, Inputs, Losses, Setting, Stage
from aue_crl_core.training.weights.ema import WeightAverage

T = TypeVar("T")
Figures = dict[str, float]
Means = dict[str, tuple[float, int]]
"""A batch's figures: each the mean of so many rows."""

_REMEDY = (
    "the files of the epochs before are kept; lower that stage's lr in --config (or set precision: fp32) and start in "
    "another --output, from the last finished stage with --init"
)


def normalise(images: Tensor, preprocessing: Preprocessing, channels_last: bool = True) -> Tensor:
    """uint8 Bx3xSxS RGB -> float32 Bx3xSxS, normalised; `channels_last` is the layout in memory."""
    mean = torch.tensor(preprocessing.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).view(1, 3, 1, 1)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=layout)


def resolve_precision(device: str, precision: str) -> Literal["fp32", "bf16"]:
    """What `auto` means: bf16 where the processor computes in it."""
    if precision == "auto":
        return "bf16" if _computes_bf16(torch.device(device).type) else "fp32"
    return "bf16" if precision == "bf16" else "fp32"


def autocast(device: str, precision: str) -> AbstractContextManager:
    """bf16 where asked for; `auto`: where the processor computes in it."""
    if resolve_precision(device, precision) == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def _computes_bf16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # torch 2.6 and up
    return kind == "cpu" and probe is not None and probe()


class Waiting:
    """Batches of a loader, and how long one waited for them.

    `share`: seconds spent waiting over the seconds from the start of the iteration to the end of the last step.
    """

    def __init__(self, loader: Iterable[Sample | FeatureBatch]) -> None:
        self._loader = loader
        self._waited = self._total = 0.0

    def __iter__(self) -> Iterator[Sample | FeatureBatch]:
        began = asked = time.perf_counter()
        waited = 0.0
        for batch in self._loader:
            waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()
            self._waited, self._total = waited, asked - began

    @property
    def share(self) -> float:
        """In [0, 1]; 0 before the first batch."""
        return self._waited / self._total if self._total else 0.0


def batch_inputs(
    network: FaceNetwork, stage: Stage, config: TrainConfig, batch: Sample | FeatureBatch, device: str
) -> tuple[Inputs, Sample | FeatureBatch]:
    """The inputs of the trained parts, and the batch, on `device`: made by the frozen parts, or brought along."""
    if isinstance(batch, FeatureBatch):
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        inputs = tuple(t.to(device, non_blocking=True).float() for t in batch.inputs)
        inputs = tuple(t.contiguous(memory_format=layout) if t.ndim == 4 else t for t in inputs)
        return inputs, FeatureBatch(inputs, batch.target.to(device, non_blocking=True))
    batch = Sample(*(t.to(device, non_blocking=True) for t in batch))
    images = normalise(batch.image, network.config.preprocessing, config.channels_last)
    return stage.inputs(network, images, batch), batch


class Objective(nn.Module):
    """A stage's loss terms as a module, which several processes can wrap to average its gradients."""

    def __init__(self, network: FaceNetwork, stage: Stage, setting: Setting) -> None:
        super().__init__()
        self.network, self.prior, self.criterion = network, setting.prior, setting.criterion
        self._stage, self._setting = stage, setting

    def forward(self, inputs: Inputs, batch: Sample | FeatureBatch) -> Losses:
        """The weighted terms of a batch."""
        return self._stage.loss(self.network, inputs, batch, self._setting)


class Learner:
    """What learns in a stage: the network with its frozen parts, and all that changes its weights.

    With several processes the backward pass averages gradients over them.
    """

    def __init__(
        self,
        network: FaceNetwork,
        stage: Stage,
        setting: Setting,
        optimizer: torch.optim.Optimizer,
        device: str,
        average: WeightAverage | None = None,
    ) -> None:
        self.network, self.stage, self.setting, self.device = network, stage, setting, device
        self.optimizer, self.average = optimizer, average
        self.prepare()
        self.objective = setting.processes.average_gradients(Objective(network, stage, setting))

    def prepare(self) -> None:
        """Put the trained parts into training mode, all others out of it."""
        self.stage.prepare(self.network, self.setting.prior, training=True)

    def set_lr(self, lr: float) -> None:
        """The learning rate of the next steps."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def losses(self, batch: Sample | FeatureBatch) -> Losses:
        """The weighted terms of a batch, in the precision of the run."""
        config = self.setting.config
        with autocast(self.device, config.precision):
            inputs, batch = batch_inputs(self.network, self.stage, config, batch, self.device)
            return self.objective(inputs, batch)

    def step(self, loss: Tensor) -> None:
        """Change the weights against the gradient of a scalar loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.stage.trains_prior:
            self.setting.prior.clamp_()
        if self.average:
            self.average.update()


def train_one_epoch(
    learner: Learner,
    batches: Iterable[Sample | FeatureBatch],
    steps: int,
    *,
    epoch: int = 0,
    lr_at: Callable[[float], float] | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Figures:
    """One epoch over `steps` batches; returns the mean of each loss term.

    `lr_at(epochs)`: the learning rate after so many epochs, a fraction too (None: it stays). The losses returned,
    reported and checked are those of the batches of all processes, the same in each.

    Raises:
        TrainingError: a loss that is not finite; weights and state on disk are those of the epoch before.
    """
    learner.prepare()
    sums: Figures = defaultdict(float)
    for step, batch in enumerate(batches):
        if lr_at is not None:
            learner.set_lr(lr_at(epoch + step / steps))
        terms = learner.losses(batch)
        stacked = torch.stack(list(terms.values()))
        values = dict(zip(terms, learner.setting.processes.mean(stacked).tolist(), strict=True))
        value = sum(values.values())
        if not math.isfinite(value):
            shown = ", ".join(f"{name} {v:.4g}" for name, v in values.items())
            raise TrainingError(
                f"the loss must be finite, got {value} in stage {learner.stage.name}, epoch {epoch + 1}, batch "
                f"{step + 1} ({shown}); {_REMEDY}"
            )
        learner.step(stacked.sum())
        for name, term in values.items():
            sums[name] += term
        on_step(step, value)
    return {name: total / steps for name, total in sums.items()}


@torch.inference_mode()
def validate(
    network: FaceNetwork, stage: Stage, setting: Setting, loader: Iterable[Sample | FeatureBatch], device: str
) -> Figures:
    """The stage's figures on a validation set: each loss term, what its `score` names, and `recall/CLASS` of every
    class that has an image.

    With several processes each brings whole batches of its own, and all return the figures of all batches.

    Raises:
        TrainingError: a figure that is not finite (the last step of an epoch can spoil the weights unseen by its loss).
    """
    stage.prepare(network, setting.prior, training=False)
    network.eval()
    own = replace(setting, processes=ALONE)
    measured: list[Means] = []
    scored: list[tuple[np.ndarray, Tensor]] = []
    for batch in loader:
        inputs, batch = batch_inputs(network, stage, setting.config, batch, device)
        logits = None if stage.logits is None else stage.logits(network, inputs)
        if logits is not None and stage.loss_of_logits is not None:
            losses = stage.loss_of_logits(logits, batch, own)
        else:
            losses = stage.loss(network, inputs, batch, own)
        means: Means = {name: (term.item(), len(batch.target)) for name, term in losses.items()}
        means["loss"] = (sum(value for value, _ in means.values()), len(batch.target))
        if stage.measure is not None:
            means |= stage.measure(network, inputs, batch)
        measured.append(means)
        if logits is not None:
            scored.append((batch.target.argmax(dim=1).cpu().numpy(), logits.float().cpu()))
    gathered = setting.processes.gather((measured, scored))
    measured = _in_turn([part for part, _ in gathered])
    scored = _in_turn([part for _, part in gathered])
    return setting.processes.share(lambda: _figures(stage, network, measured, scored))


def _in_turn(parts: list[list[T]]) -> list[T]:
    """Batches of processes that took every n-th one, in their order in the data."""
    return [batch for turn in zip_longest(*parts) for batch in turn if batch is not None]


def _figures(
    stage: Stage, network: FaceNetwork, measured: list[Means], scored: list[tuple[np.ndarray, Tensor]]
) -> Figures:
    """The figures of batches: means of so many rows each, and labels and logits where the stage classifies."""
    sums, counts = defaultdict(float), defaultdict(int)
    for means in measured:
        for name, (mean, rows) in means.items():
            sums[name] += mean * rows
            counts[name] += rows
    figures = {name: total / counts[name] for name, total in sums.items() if counts[name]}
    if not all(map(math.isfinite, figures.values())):
        raise TrainingError(f"the figures of stage {stage.name} must be finite, got {figures}; {_REMEDY}")
    if scored:
        labels, logits = zip(*scored, strict=True)
        rows = torch.cat(logits)
        if not rows.isfinite().all():
            raise TrainingError(f"the logits of stage {stage.name} must be finite, got NaN or inf; {_REMEDY}")
        figures |= rates(np.concatenate(labels), rows.softmax(dim=1).numpy(), network.config.expressions)
    return figures


def rates(labels: NDArray[np.int64], probabilities: NDArray[np.floating], classes: Sequence[str]) -> Figures:
    """How often answers are right, as histories and checkpoints name it: `accuracy`, `mean_class_accuracy`, their mean
    `score`, and `recall/CLASS` of every class that has an image; `labels` int N, `probabilities` NxC."""
    metrics = compute(labels, probabilities, classes)
    return {
        "accuracy": metrics.accuracy,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "score": (metrics.accuracy + metrics.mean_class_accuracy) / 2,
        **{f"recall/{name}": recall for name, recall in metrics.per_class_recall.items() if recall is not None},
    }
