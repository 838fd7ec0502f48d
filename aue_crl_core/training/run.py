"""A training run: a directory that explains itself, stages in turn, and a state to resume from."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from aue_crl_core.checkpoint import CheckpointInfo, load_landmark_net, load_network, save_network
from aue_crl_core.config import model_config
from aue_crl_core.data.dataset import FaceDataset, Sample, hold_out
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.landmark_dataset import LANDMARK_AUGMENTATION, LandmarkDataset
from aue_crl_core.errors import TrainingError
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.networks.aue_crl import AueCrl, build_network
from aue_crl_core.training.config import StageName, TrainConfig
from aue_crl_core.training.ema import WeightAverage
from aue_crl_core.training.engine import Figures, train_one_epoch, validate
from aue_crl_core.training.stages import SEQUENCE, STAGES, Setting, Stage
from aue_crl_core.training.state import STATE_FILE, Progress, load_state, read_progress, save_state

HISTORY_FILE = "metrics.csv"
BEST_FILE = "best.safetensors"
"""The last finished stage's best epoch, under the name that `--weights DIR` looks for."""


class Reporter(Protocol):
    """Hears how a run goes."""

    def stage(self, name: str, epochs: int, steps: int, first_epoch: int) -> None:
        """A stage begins."""

    def step(self, step: int, loss: float) -> None:
        """A batch is done."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is validated: the row that goes into `metrics.csv`."""

    def skipped(self, name: str) -> None:
        """A stage was finished before."""


class Silent:
    """A reporter that says nothing."""

    def stage(self, name: str, epochs: int, steps: int, first_epoch: int) -> None:
        """See `Reporter`."""

    def step(self, step: int, loss: float) -> None:
        """See `Reporter`."""

    def epoch(self, row: dict[str, Any]) -> None:
        """See `Reporter`."""

    def skipped(self, name: str) -> None:
        """See `Reporter`."""


@dataclass(frozen=True)
class RunPaths:
    """The files of a run directory."""

    directory: Path

    def checkpoint(self, stage: StageName) -> Path:
        """The best epoch of a finished stage."""
        return self.directory / f"{stage}.safetensors"

    def candidate(self, stage: StageName) -> Path:
        """The best epoch so far of a stage that is still running."""
        return self.directory / f"{stage}.unfinished.safetensors"


def train(
    config: TrainConfig,
    data: Sequence[DatasetIndex],
    output: Path,
    stages: Sequence[StageName] = SEQUENCE,
    *,
    resume: bool = False,
    init: Path | None = None,
    landmarks: Path | None = None,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> Path:
    """Run `stages` in order in directory `output`; returns the last stage's checkpoint.

    A stage starts from the checkpoint of the one before it in `output`, else from `init`, else (the first stages) from
    random weights; the landmark net is that of `landmarks` where it is given. Finished stages are skipped.

    Raises:
        TrainingError: an unfinished stage without `resume`, a run of another configuration, or a missing earlier stage.
        DatasetError: the indices have another vocabulary or no usable image.
    """
    paths, reporter = RunPaths(output), reporter or Silent()
    indices = [_with_validation(index, config) for index in data]
    _start_directory(config, data, output, resume)
    network = build_network(model_config(config.model, config.vocabulary))
    for name in stages:
        if paths.checkpoint(name).is_file():
            reporter.skipped(name)
            continue
        torch.manual_seed(config.seed)
        network = _starting_network(name, config, paths, init, landmarks)
        _run_stage(STAGES[name], network.to(device), config, indices, paths, device, reporter)
    final = paths.checkpoint(stages[-1])
    shutil.copyfile(final, output / BEST_FILE)
    return final


def _with_validation(index: DatasetIndex, config: TrainConfig) -> DatasetIndex:
    if index.vocabulary != config.vocabulary:
        raise TrainingError(
            f"the index of layout {index.layout} has the {index.vocabulary} vocabulary, the run has {config.vocabulary}; "
            f"train with vocabulary: {index.vocabulary}"
        )
    return index if "valid" in index.splits() else hold_out(index, config.held_out, config.seed)


def _start_directory(config: TrainConfig, data: Sequence[DatasetIndex], output: Path, resume: bool) -> None:
    """Write what the run is, or check that it is the same run."""
    about = {"config": config.to_dict(), "data": _provenance(data)}
    file = output / "run.json"
    if file.is_file():
        before = json.loads(file.read_text())
        before["config"]["workers"] = config.workers  # how it is computed, not what
        if before != json.loads(json.dumps(about)):
            raise TrainingError(
                f"{output} holds a run of another configuration or data ({file}); choose another --output"
            )
        progress = read_progress(output)
        if progress and not resume:
            raise TrainingError(
                f"{output} holds an unfinished stage {progress.stage} (epoch {progress.epoch}); "
                "go on with --resume, or choose another --output"
            )
        return
    output.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(about, indent=1) + "\n")


def _provenance(data: Sequence[DatasetIndex]) -> list[dict[str, Any]]:
    return [{"layout": i.layout, "data_hash": i.data_hash, "images": dict(i.splits())} for i in data]


def _starting_network(
    name: StageName, config: TrainConfig, paths: RunPaths, init: Path | None, landmarks: Path | None
) -> AueCrl:
    order: tuple[StageName, ...] = ("landmark", *SEQUENCE)
    earlier = [s for s in order[: order.index(name)] if paths.checkpoint(s).is_file()]
    start = paths.checkpoint(earlier[-1]) if earlier else init
    if start is not None:
        network = load_network(start)[0]
    elif name in ("action_unit", "fusion"):
        needed = order[order.index(name) - 1]
        raise TrainingError(
            f"stage {name} starts from stage {needed}, and {paths.checkpoint(needed)} does not exist; "
            f"run --stage {needed} first, use --stage all, or give --init CHECKPOINT"
        )
    else:
        network = build_network(model_config(config.model, config.vocabulary))
    if landmarks is not None and name != "landmark":
        load_landmark_net(network, landmarks)
    return network


def _datasets(stage: Stage, network: AueCrl, indices: list[DatasetIndex], config: TrainConfig) -> tuple[Any, Any]:
    parts = [[index.select(split) for index in indices] for split in ("train", "valid")]
    if stage.name == "landmark":
        preprocessing = replace(network.config.preprocessing, input_size=network.landmark_net.input_size)
        return (
            LandmarkDataset(parts[0], preprocessing, LANDMARK_AUGMENTATION, config.seed),
            LandmarkDataset(parts[1], preprocessing),
        )
    preprocessing = network.config.preprocessing
    return (
        FaceDataset(parts[0], preprocessing, config.augmentation, config.seed),
        FaceDataset(parts[1], preprocessing),
    )


def _loader(dataset: Dataset[Sample], config: TrainConfig, device: str, seed: int | None) -> DataLoader:
    """`seed` None: in order, every sample."""
    return DataLoader(
        dataset,
        batch_size=config.batch_size if seed is not None else 128,
        shuffle=seed is not None,
        drop_last=seed is not None,
        generator=torch.Generator().manual_seed(seed or 0),
        num_workers=config.workers,
        worker_init_fn=_one_thread,
        pin_memory=device.startswith("cuda"),
        prefetch_factor=4 if config.workers else None,
    )


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _optimizer(config: TrainConfig, parameters: list[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Weight decay on weights only, not on biases and BatchNorm."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=lr)


def _log_frequency(dataset: Any, classes: int) -> torch.Tensor:
    if not isinstance(dataset, FaceDataset):
        return torch.zeros(classes)
    counts = torch.bincount(torch.from_numpy(dataset.labels), minlength=classes).float()
    return (counts.clamp(min=1) / counts.sum()).log()


def _run_stage(
    stage: Stage,
    network: AueCrl,
    config: TrainConfig,
    indices: list[DatasetIndex],
    paths: RunPaths,
    device: str,
    reporter: Reporter,
) -> None:
    schedule = getattr(config, stage.name)
    network = network.to(memory_format=torch.channels_last)
    prior = LearnablePrior(config.vocabulary).to(device)
    train_set, valid_set = _datasets(stage, network, indices, config)
    setting = Setting(config, prior, _log_frequency(train_set, len(network.config.expressions)).to(device))
    optimizer = _optimizer(config, stage.prepare(network, prior, training=True), schedule.lr)
    average = WeightAverage([network.get_submodule(p) for p in stage.trained], config.ema) if config.ema else None
    modules = {"network": network, "prior": prior}
    progress = Progress(stage.name)
    saved = read_progress(paths.directory)
    if saved and saved.stage == stage.name:
        progress = load_state(paths.directory, modules, optimizer, average)
    valid_loader = _loader(valid_set, config, device, None)
    steps = len(train_set) // config.batch_size
    if steps == 0:
        raise TrainingError(
            f"a batch of {config.batch_size} needs as many images, the index has {len(train_set)} to train on"
        )
    reporter.stage(stage.name, schedule.epochs, steps, progress.epoch)

    def set_lr(epoch: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * schedule.factor(epoch)

    for epoch in range(progress.epoch, schedule.epochs):
        seed = config.seed * 1_000_003 + epoch
        torch.manual_seed(seed)
        small = epoch < schedule.small_epochs and stage.name == "expression"
        train_set.set_epoch(epoch, schedule.small_size if small else None)
        losses = train_one_epoch(
            network,
            stage,
            setting,
            _loader(train_set, config, device, seed),
            optimizer,
            set_lr,
            epoch,
            steps,
            device,
            average,
            reporter.step,
        )
        if average:
            with average.applied():
                figures = validate(network, stage, setting, valid_loader, device)
                _keep_if_best(stage, network, prior, config, indices, figures, progress, paths)
        else:
            figures = validate(network, stage, setting, valid_loader, device)
            _keep_if_best(stage, network, prior, config, indices, figures, progress, paths)
        progress.epoch = epoch + 1
        save_state(paths.directory, progress, modules, optimizer, average)
        row = {"stage": stage.name, "epoch": epoch + 1, "lr": optimizer.param_groups[0]["lr"]}
        row |= {f"train/{k}": v for k, v in losses.items()} | {f"valid/{k}": v for k, v in figures.items()}
        _append(paths.directory / HISTORY_FILE, row)
        reporter.epoch(row)
    paths.candidate(stage.name).replace(paths.checkpoint(stage.name))
    (paths.directory / STATE_FILE).unlink()


def _keep_if_best(
    stage: Stage,
    network: AueCrl,
    prior: LearnablePrior,
    config: TrainConfig,
    indices: list[DatasetIndex],
    figures: Figures,
    progress: Progress,
    paths: RunPaths,
) -> None:
    score = figures[stage.score]
    better = progress.best is None or (score > progress.best if stage.higher_is_better else score < progress.best)
    if better:
        progress.best = score
        info = CheckpointInfo(
            network.config,
            stage.name,
            data=tuple(_provenance(indices)),
            metrics={**figures, "epoch": progress.epoch + 1},
        )
        save_network(paths.candidate(stage.name), network, info, prior.table)


def _append(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the history; columns that are new widen the file."""
    rows = read_history(path)
    rows.append({k: str(v) for k, v in row.items()})
    columns = list(dict.fromkeys(k for r in rows for k in r))
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv`; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
