"""A training run: a directory that explains itself, stages in turn, and a state to resume from."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import torch

from aue_crl_core.checkpoint import CheckpointInfo, read_info, save_network
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import ConfigError, TrainingError
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training import imagenet
from aue_crl_core.training.batch_norm import share_statistics
from aue_crl_core.training.calibration import calibrate
from aue_crl_core.training.config import Compiler, StageName, TrainConfig
from aue_crl_core.training.directory import ORDER, RunPaths, open_run, provenance
from aue_crl_core.training.distributed import Processes, joined
from aue_crl_core.training.ema import WeightAverage
from aue_crl_core.training.engine import Figures, Waiting, make_objective, train_one_epoch, validate
from aue_crl_core.training.feature_cache import FeatureViews, Maker, cached_sets, check_size, pays
from aue_crl_core.training.journal import Journal, draw_plots
from aue_crl_core.training.loading import (
    TrainingSet,
    check_images,
    datasets,
    log_frequency,
    make_loader,
    with_validation,
)
from aue_crl_core.training.memory import keep_freed_memory
from aue_crl_core.training.overview import write_overview
from aue_crl_core.training.reporter import Reporter, Silent
from aue_crl_core.training.session import Session
from aue_crl_core.training.stages import SEQUENCE, STAGES, Setting, Stage
from aue_crl_core.training.start import Start, check_order, check_same_model, shared_weights, starting_weights
from aue_crl_core.training.state import STATE_FILE, Progress, load_state, read_progress, save_state

_SEED_STRIDE: Final = 2**40
"""Between the seeds of two processes' dropout masks; the first has those of a run alone."""


@dataclass(frozen=True)
class _Run:
    """What all stages share."""

    config: TrainConfig
    indices: list[DatasetIndex]
    paths: RunPaths
    device: str
    reporter: Reporter
    processes: Processes


def train(
    config: TrainConfig,
    data: Sequence[DatasetIndex],
    output: Path,
    stages: Sequence[StageName] = SEQUENCE,
    *,
    resume: bool = False,
    init: Path | Literal["imagenet"] | None = None,
    landmarks: Path | None = None,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> Path:
    """Run `stages` in order in directory `output`; returns the last stage's checkpoint.

    Stages action_unit and fusion start from the checkpoint of the stage before them in `output`, else from `init`; the
    others from `init`, else from random weights; `init` "imagenet" is torchvision's weights for the trunk of stage
    expression (see `imagenet`), which are downloaded unless they are there. The landmark net is that of `landmarks`,
    else the one that this run trained. Finished stages are skipped. After every epoch the whole state is on disk: a run
    that was killed goes on with `resume` and ends in the same weights as one that was not (on the same machine, with as
    many threads).

    Under torchrun all processes call this and share every batch (see `distributed`); `device` "cuda" gives each its own
    GPU. Only the first reads and writes `output`, `init` and `landmarks`, and only its `reporter` hears anything.

    Raises:
        TrainingError: another run in `output`, an unfinished stage without `resume`, a missing earlier stage, indices
            of another vocabulary, or a loss that is not finite.
        CheckpointError: `init` or `landmarks` cannot be used, or `init` is of another model or vocabulary.
        DatasetError: no usable image, a split that is missing, or images that are gone.
        ConfigError: no stage, a device that is not there, a feature cache beyond `cache_max_gb`, "imagenet" for a model
            or a stage that cannot begin with it, or a batch that the processes cannot share evenly.
        DownloadError: the weights of "imagenet" are neither there nor to be had.
    """
    if not stages:
        raise ConfigError(f"stages must name at least one of {', '.join(ORDER)}, got none")
    _check_device(device)
    paths = RunPaths(output)
    checkpoint = None if init == imagenet.INIT else init
    with joined(device) as processes:
        processes.check_batch_size(config.batch_size)
        listener = reporter if reporter and processes.is_first else Silent()
        indices = [with_validation(i, config) for i in data]
        run = _Run(config, indices, paths, processes.device, listener, processes)
        check_images(indices)

        def begin() -> imagenet.Trunk | None:
            _check_cache(run, stages)
            if landmarks is not None:
                read_info(landmarks)
            if checkpoint is not None:
                check_same_model(checkpoint, read_info(checkpoint), config)
            check_order(stages, paths, checkpoint)
            trunk = imagenet.read_for(config.network(), stages, paths) if init == imagenet.INIT else None
            open_run(paths, config, data, stages, resume)
            return trunk

        def load(name: StageName) -> Start:
            start = starting_weights(name, config, paths, checkpoint, landmarks)
            if trunk is not None and name == "expression":
                start = start._replace(license=imagenet.LICENSE, initialised_from=trunk.load_into(start.network))
            return start

        trunk = processes.on_first(begin)
        keep_freed_memory()
        run.reporter.data(indices)
        with Session(paths, stages, init, landmarks, processes.device) if processes.is_first else nullcontext():
            for name in stages:
                processes.place = f"at the start of stage {name}"
                if processes.share(paths.checkpoint(name).is_file):
                    run.reporter.skipped(name)
                    left = read_progress(output) if processes.is_first else None
                    if left is not None and left.stage == name:
                        _wrap_up(paths, name)
                    continue
                torch.manual_seed(config.seed)
                _run_stage(STAGES[name], shared_weights(processes, config, partial(load, name)), run)
    return paths.checkpoint(stages[-1])


def _check_device(device: str) -> None:
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ConfigError(f"device must be cpu, cuda or cuda:N, got {device!r}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device must be available to torch, got {device!r} (torch sees no CUDA device); use cpu")


def _check_cache(run: _Run, stages: Sequence[StageName]) -> None:
    images = sum(r.usable and r.label is not None and r.split == "train" for i in run.indices for r in i.records)
    for name in stages:
        if not run.paths.checkpoint(name).is_file():
            check_size(run.config, run.config.network(), STAGES[name], images)


def _optimizer(
    config: TrainConfig, network: list[torch.nn.Parameter], prior: list[torch.nn.Parameter], lr: float
) -> torch.optim.Optimizer:
    """Weight decay on the network's weights only: not on biases, BatchNorm and the prior's probabilities."""
    groups = [
        {"params": [p for p in network if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in network if p.ndim <= 1] + prior, "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    extra = {"fused": True} if config.fused_optimizer else {}
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, **extra)
    return torch.optim.AdamW(groups, lr=lr, **extra)


def _compile(network: AueCrl, backend: Compiler) -> None:
    """Have each part compiled when it is first called; names of parameters stay."""
    if backend != "none":
        for part in (network.backbone, network.expression_branch, network.action_unit_branch, network.fusion):
            part.compile(backend=backend)


def _cached(
    stage: Stage, network: AueCrl, sets: tuple[TrainingSet, TrainingSet], run: _Run
) -> tuple[TrainingSet | FeatureViews, TrainingSet | FeatureViews]:
    """The stage's sets, behind a feature cache where that pays."""
    train_set, valid_set = sets
    if not pays(run.config, stage) or not isinstance(train_set, FaceDataset) or not isinstance(valid_set, FaceDataset):
        return sets
    config = run.config
    maker = Maker(stage, network, run.device, config, run.reporter.features, run.processes)
    return cached_sets(_cache_directory(run), maker, train_set, valid_set)


def _cache_directory(run: _Run) -> Path:
    """Where the feature caches of this host are, in a folder that other hosts may share."""
    directory = Path(run.config.cache_dir) if run.config.cache_dir else run.paths.cache
    return directory / f"host-{platform.node()}" if run.processes.several_hosts else directory


def _run_stage(stage: Stage, start: Start, run: _Run) -> None:
    config, paths, device, processes = run.config, run.paths, run.device, run.processes
    network, table = start.network, start.prior
    schedule = getattr(config, stage.name)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    network = network.to(device, memory_format=layout)
    share_statistics(network, processes)
    _compile(network, config.compile)
    prior = LearnablePrior(config.vocabulary).to(device)
    if table is not None:
        with torch.no_grad():
            prior.table.copy_(table)
    keep_prior = stage.trains_prior or table is not None
    sets = datasets(stage.name, network, run.indices, config)
    steps = len(sets[0]) // config.batch_size
    if steps == 0:
        raise TrainingError(
            f"a batch of {config.batch_size} needs as many images, the index has {len(sets[0])} to train on; "
            "choose a smaller --batch-size"
        )
    setting = Setting(config, prior, log_frequency(sets[0], len(network.config.expressions)).to(device), processes)
    optimizer = _optimizer(config, *stage.prepare(network, prior, training=True), schedule.lr)
    average = WeightAverage([network.get_submodule(p) for p in stage.trained], config.ema) if config.ema else None
    modules = {"network": network, "prior": prior}
    progress = Progress(stage.name, license=start.license, initialised_from=start.initialised_from)
    saved = processes.share(lambda: read_progress(paths.directory))
    if saved and saved.stage == stage.name:
        progress = load_state(paths.directory, modules, optimizer, average, processes)
    run.reporter.stage(stage.name, schedule.epochs, steps, progress.epoch)
    train_set, valid_set = _cached(stage, network, sets, run)
    valid_loader = make_loader(valid_set, config, device, None, processes)
    objective = make_objective(network, stage, setting)

    def set_lr(epoch: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * schedule.factor(epoch)

    def info() -> CheckpointInfo:
        return CheckpointInfo(
            network.config,
            stage.name,
            data=tuple(provenance(run.indices)),
            metrics={**progress.figures, "epoch": progress.epoch},
            license=progress.license,
            initialised_from=progress.initialised_from,
        )

    with Journal(paths.directory, stage.name, progress.epoch) if processes.is_first else nullcontext() as journal:
        while not schedule.is_over(progress.epoch, progress.since_best):
            epoch, began = progress.epoch, time.monotonic()
            processes.place = f"in stage {stage.name}, epoch {epoch + 1}"
            seed = config.seed * 1_000_003 + epoch
            small = epoch < schedule.small_epochs and stage.name == "expression"
            train_set.set_epoch(epoch, schedule.small_size if small else None)
            torch.manual_seed(seed + processes.rank * _SEED_STRIDE)
            batches = Waiting(make_loader(train_set, config, device, seed, processes))
            losses = train_one_epoch(
                objective,
                network,
                stage,
                setting,
                batches,
                optimizer,
                set_lr,
                epoch,
                steps,
                device,
                average,
                run.reporter.step,
            )
            with average.applied() if average else nullcontext():
                figures = validate(network, stage, setting, valid_loader, device)
                progress.epoch, progress.figures = epoch + 1, figures
                if _better(stage, figures, progress) and processes.is_first:
                    save_network(paths.candidate(stage.name), network, info(), prior.table if keep_prior else None)
            if journal is not None:
                row = {"stage": stage.name, "epoch": epoch + 1, "lr": optimizer.param_groups[0]["lr"]}
                row |= {"since_best": progress.since_best, "seconds": round(time.monotonic() - began, 2)}
                row["data_wait"] = round(batches.share, 4)
                row |= {f"train/{k}": v for k, v in losses.items()} | {f"valid/{k}": v for k, v in figures.items()}
                journal.write(row)
                save_state(paths.directory, progress, modules, optimizer, average)
                run.reporter.epoch(row)
    processes.place = f"at the end of stage {stage.name}"
    shutil.rmtree(paths.cache, ignore_errors=True)
    if not processes.is_first:
        return
    with average.applied() if average else nullcontext():
        save_network(paths.last(stage.name), network, info(), prior.table if keep_prior else None)
    if stage.calibrated:
        calibrate(paths.candidate(stage.name), make_loader(sets[1], config, device, None), device)
    paths.candidate(stage.name).replace(paths.checkpoint(stage.name))
    _wrap_up(paths, stage.name)
    run.reporter.finished(stage.name, progress.epoch, progress.epoch < schedule.epochs)


def _wrap_up(paths: RunPaths, name: StageName) -> None:
    """What follows a stage's checkpoint; once more where a process was killed amid it, whose state is still there."""
    shutil.rmtree(paths.cache, ignore_errors=True)
    draw_plots(paths.directory, paths.checkpoint(name))
    paths.refresh_best()
    (paths.directory / STATE_FILE).unlink()
    write_overview(paths.directory)


def _better(stage: Stage, figures: Figures, progress: Progress) -> bool:
    """Whether this epoch is the best so far; notes in `progress` that it is, or how long ago the best one was."""
    score = figures[stage.score]
    if progress.best is not None and (score <= progress.best if stage.higher_is_better else score >= progress.best):
        progress.since_best += 1
        return False
    progress.best, progress.since_best = score, 0
    return True
