"""One stage of a run: from what it starts with, through its epochs, to its checkpoint."""

from __future__ import annotations

import platform
import shutil
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from aue_crl_core.checkpoint import CheckpointInfo, save_network
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import TrainingError
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.batches.evidence import action_unit_evidence
from aue_crl_core.training.batches.feature_cache import FeatureViews, pays
from aue_crl_core.training.batches.features import Maker, cached_sets
from aue_crl_core.training.batches.loading import TrainingSet, datasets, log_frequency, make_loader
from aue_crl_core.training.config import Compiler, StageName, TrainConfig
from aue_crl_core.training.directory.journal import Journal
from aue_crl_core.training.directory.overview import write_overview
from aue_crl_core.training.directory.paths import RunPaths, provenance
from aue_crl_core.training.directory.state import STATE_FILE, Progress, load_state, read_progress, save_state
from aue_crl_core.training.loop import Figures, Learner, Waiting, train_one_epoch, validate
from aue_crl_core.training.processes.batch_norm import share_statistics
from aue_crl_core.training.processes.processes import Processes
from aue_crl_core.training.reporter import Reporter
from aue_crl_core.training.stages import Setting, Stage
from aue_crl_core.training.weights.calibration import calibrate
from aue_crl_core.training.weights.ema import WeightAverage
from aue_crl_core.training.weights.intensity import fit_intensities
from aue_crl_core.training.weights.start import Start

_SEED_STRIDE: Final = 2**40
"""Between the seeds of two processes' dropout masks; the first has those of a run alone."""


@dataclass(frozen=True)
class RunContext:
    """What all stages of a run share."""

    config: TrainConfig
    indices: list[DatasetIndex]
    paths: RunPaths
    device: str
    reporter: Reporter
    processes: Processes

    @property
    def cache_directory(self) -> Path:
        """Where the feature caches of this host are, in a folder that other hosts may share."""
        directory = Path(self.config.cache_dir) if self.config.cache_dir else self.paths.cache
        return directory / f"host-{platform.node()}" if self.processes.several_hosts else directory


class StageRun:
    """One stage of a run, at its start or where a killed process left it.

    Raises:
        TrainingError: fewer images than a batch, or a state on disk that is of another network.
        DatasetError: a split that is missing, or nothing usable in it.
    """

    def __init__(self, stage: Stage, start: Start, context: RunContext) -> None:
        config, processes = context.config, context.processes
        self._stage, self._context = stage, context
        self._schedule = getattr(config, stage.name)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self._network = network = start.network.to(context.device, memory_format=layout)
        share_statistics(network, processes)
        _compile(network, config.compile)
        self._prior = prior = LearnablePrior(config.vocabulary).to(context.device)
        if start.prior is not None:
            with torch.no_grad():
                prior.table.copy_(start.prior)
        self._keep_prior = stage.trains_prior or start.prior is not None
        learns_evidence = stage.knowledge == "odds"
        evidence = processes.share(lambda: action_unit_evidence(context.indices)) if learns_evidence else None
        if evidence is not None:
            network.prior_odds.table.copy_(torch.from_numpy(evidence.prior))
        sets = datasets(stage.name, network, context.indices, config, evidence)
        self._steps = len(sets[0]) // config.batch_size
        if self._steps == 0:
            raise TrainingError(
                f"a batch of {config.batch_size} needs as many images, the index has {len(sets[0])} to train on; "
                "choose a smaller --batch-size"
            )
        frequency = log_frequency(sets[0], len(network.config.expressions)).to(context.device)
        self._criterion = criterion = stage.criterion(network.config).to(context.device)
        processes.copy_from_first(criterion.state_dict().values())
        self._adjustment = config.logit_adjustment * frequency
        setting = Setting(config, prior, frequency, processes, criterion)
        weights, tables = stage.prepare(network, prior, training=True)
        optimizer = _optimizer(config, weights, [*tables, *criterion.parameters()], self._schedule.lr)
        average = WeightAverage([network.get_submodule(p) for p in stage.trained], config.ema) if config.ema else None
        kept = dict(start.metrics) if stage.keeps_expressions else {}
        self._progress = Progress(stage.name, kept=kept, license=start.license, initialised_from=start.initialised_from)
        saved = processes.share(lambda: read_progress(context.paths.directory))
        if saved and saved.stage == stage.name:
            self._progress = load_state(context.paths.directory, self._modules, optimizer, average, processes)
        context.reporter.stage(stage.name, self._schedule.epochs, self._steps, self._progress.epoch)
        self._sets = sets
        self._train_set, valid_set = self._cached(sets)
        self._valid_loader = make_loader(valid_set, config, context.device, None, processes)
        self._learner = Learner(network, stage, setting, optimizer, context.device, average)

    def run(self) -> None:
        """Train the epochs that are left, then write the stage's checkpoint."""
        processes, progress = self._context.processes, self._progress
        directory = self._context.paths.directory
        with Journal(directory, self._stage.name, progress.epoch) if processes.is_first else nullcontext() as journal:
            while not self._schedule.is_over(progress.epoch, progress.since_best):
                processes.place = f"in stage {self._stage.name}, epoch {progress.epoch + 1}"
                row = self._epoch()
                if journal is not None:
                    journal.write(row)
                    save_state(directory, progress, self._modules, self._learner.optimizer, self._learner.average)
                    self._context.reporter.epoch(row)
        processes.place = f"at the end of stage {self._stage.name}"
        shutil.rmtree(self._context.paths.cache, ignore_errors=True)
        if processes.is_first:
            self._finish()

    @property
    def _modules(self) -> dict[str, torch.nn.Module]:
        """What the state on disk holds."""
        return {"network": self._network, "prior": self._prior, "criterion": self._criterion}

    def _epoch(self) -> dict[str, object]:
        """Train one epoch and validate it; the row of the run's history."""
        context, progress, learner = self._context, self._progress, self._learner
        epoch, began = progress.epoch, time.monotonic()
        batches = self._batches(epoch)
        losses = train_one_epoch(
            learner,
            batches,
            self._steps,
            epoch=epoch,
            lr_at=lambda epochs: self._schedule.lr * self._schedule.factor(epochs),
            on_step=context.reporter.step,
        )
        with self._averaged():
            figures = validate(self._network, self._stage, learner.setting, self._valid_loader, context.device)
            self._judge(figures)
        row = {"stage": self._stage.name, "epoch": epoch + 1, "lr": learner.optimizer.param_groups[0]["lr"]}
        row |= {"since_best": progress.since_best, "seconds": round(time.monotonic() - began, 2)}
        row["data_wait"] = round(batches.share, 4)
        return row | {f"train/{k}": v for k, v in losses.items()} | {f"valid/{k}": v for k, v in figures.items()}

    def _batches(self, epoch: int) -> Waiting:
        """The epoch's batches, and the random state that goes with them."""
        config, processes = self._context.config, self._context.processes
        seed = config.seed * 1_000_003 + epoch
        small = self._stage.any_size and epoch < self._schedule.small_epochs
        self._train_set.set_epoch(epoch, self._schedule.small_size if small else None)
        torch.manual_seed(seed + processes.rank * _SEED_STRIDE)
        return Waiting(make_loader(self._train_set, config, self._context.device, seed, processes))

    def _judge(self, figures: Figures) -> None:
        """Note an epoch's figures in the progress, and keep its weights where it is the best so far."""
        progress = self._progress
        progress.epoch, progress.figures = progress.epoch + 1, figures
        if not self._stage.is_better(figures[self._stage.score], progress.best):
            progress.since_best += 1
            return
        progress.best, progress.since_best = figures[self._stage.score], 0
        if self._context.processes.is_first:
            self._save(self._context.paths.candidate(self._stage.name))

    def _finish(self) -> None:
        """Write the checkpoint of the best epoch, and what follows it."""
        context, stage, paths = self._context, self._stage, self._context.paths
        with self._averaged():
            self._save(paths.last(stage.name))
        if stage.calibrated:
            loader = make_loader(self._sets[1], context.config, context.device, None)
            calibrate(paths.candidate(stage.name), loader, context.device, self._adjustment)
        if stage.knowledge == "odds":
            fit_intensities(paths.candidate(stage.name), context.indices, context.config, context.device)
        paths.candidate(stage.name).replace(paths.checkpoint(stage.name))
        wrap_up(paths, stage.name)
        context.reporter.finished(stage.name, self._progress.epoch, self._progress.epoch < self._schedule.epochs)

    def _averaged(self) -> AbstractContextManager:
        """The weights' average in the place of the weights, where the run keeps one."""
        return self._learner.average.applied() if self._learner.average else nullcontext()

    def _save(self, path: Path) -> None:
        progress = self._progress
        info = CheckpointInfo(
            self._network.config,
            self._stage.name,
            data=tuple(provenance(self._context.indices)),
            metrics={**progress.kept, **progress.figures, "epoch": progress.epoch},
            license=progress.license,
            initialised_from=progress.initialised_from,
        )
        save_network(path, self._network, info, self._prior.table if self._keep_prior else None)

    def _cached(
        self, sets: tuple[TrainingSet, TrainingSet]
    ) -> tuple[TrainingSet | FeatureViews, TrainingSet | FeatureViews]:
        """The stage's sets, behind a feature cache where that pays."""
        context, (train_set, valid_set) = self._context, sets
        expressions = isinstance(train_set, FaceDataset) and isinstance(valid_set, FaceDataset)
        if not expressions or not pays(context.config, self._stage):
            return sets
        report = context.reporter.features
        maker = Maker(self._stage, self._network, context.device, context.config, report, context.processes)
        return cached_sets(context.cache_directory, maker, train_set, valid_set)


def wrap_up(paths: RunPaths, name: StageName) -> None:
    """What follows a stage's checkpoint; once more where a process was killed amid it, whose state is still there."""
    shutil.rmtree(paths.cache, ignore_errors=True)
    paths.refresh_best()
    (paths.directory / STATE_FILE).unlink()
    write_overview(paths.directory)


def _optimizer(
    config: TrainConfig, network: list[torch.nn.Parameter], others: list[torch.nn.Parameter], lr: float
) -> torch.optim.Optimizer:
    """Weight decay on the network's weights only: not on biases, BatchNorm, the prior's probabilities and criteria."""
    groups = [
        {"params": [p for p in network if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in network if p.ndim <= 1] + others, "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    extra = {"fused": True} if config.fused_optimizer else {}
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, **extra)
    return torch.optim.AdamW(groups, lr=lr, **extra)


def _compile(network: FaceNetwork, backend: Compiler) -> None:
    """Have each part compiled when it is first called; names of parameters stay."""
    if backend != "none":
        for name, part in network.named_children():
            if name != "landmark_net":
                part.compile(backend=backend)
