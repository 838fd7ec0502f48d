"""A training run: a directory that explains itself, stages in turn, and a state to resume from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from aue_crl_core.checkpoint import read_info
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import ConfigError
from aue_crl_core.methods import METHODS
from aue_crl_core.training.batches.evidence import check_evidence
from aue_crl_core.training.batches.feature_cache import check_size
from aue_crl_core.training.batches.loading import (
    check_images,
    check_method,
    with_validation,
)
from aue_crl_core.training.config import StageName, TrainConfig
from aue_crl_core.training.directory.journal import refresh_plots
from aue_crl_core.training.directory.lock import locked
from aue_crl_core.training.directory.paths import RunPaths, open_run
from aue_crl_core.training.directory.session import Session
from aue_crl_core.training.directory.state import read_progress
from aue_crl_core.training.memory import keep_freed_memory
from aue_crl_core.training.processes.processes import joined
from aue_crl_core.training.reporter import Reporter, Silent
from aue_crl_core.training.stage_run import RunContext, StageRun, wrap_up
from aue_crl_core.training.stages import STAGES, sequence, stage_of
from aue_crl_core.training.weights import imagenet
from aue_crl_core.training.weights.start import (
    Start,
    check_knowledge,
    check_order,
    check_same_model,
    shared_weights,
    starting_weights,
)


def train(
    config: TrainConfig,
    data: Sequence[DatasetIndex],
    output: Path,
    stages: Sequence[StageName] | None = None,
    *,
    resume: bool = False,
    init: Path | Literal["imagenet"] | None = None,
    landmarks: Path | None = None,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> Path:
    """Run `stages` in order in directory `output` (None: all, see `sequence`); returns the last stage's checkpoint.

    Stages action_unit and fusion start from the checkpoint of the stage before them in `output`, else from `init`; the
    others from `init`, else from random weights; `init` "imagenet" is torchvision's weights for the trunk of stage
    expression (see `imagenet`), which are downloaded unless they are there. The landmark net is that of `landmarks`,
    else the one that this run trained. Finished stages are skipped. After every epoch the whole state is on disk: a run
    that was killed goes on with `resume` and ends in the same weights as one that was not (on the same machine, with as
    many threads).

    Under torchrun all processes call this and share every batch (see `processes`); `device` "cuda" gives each its own
    GPU. Only the first reads and writes `output`, `init` and `landmarks`, and only its `reporter` hears anything.

    Raises:
        TrainingError: another run in `output`, or one under way there, an unfinished stage without `resume`, a missing
            earlier stage, indices of another vocabulary, or a loss that is not finite.
        CheckpointError: `init` or `landmarks` cannot be used, or `init` is of another model or vocabulary.
        DatasetError: no usable image, a split that is missing, images that are gone, or an index that does not say what
            the method learns from.
        ConfigError: no stage, a device that is not there, a feature cache beyond `cache_max_gb`, "imagenet" for a model
            or a stage that cannot begin with it, or a batch that the processes cannot share evenly.
        DownloadError: the weights of "imagenet" are neither there nor to be had.
    """
    if stages is None:
        stages = sequence(config.network())
    if not stages:
        raise ConfigError(f"stages must name at least one of {', '.join(STAGES)}, got none")
    check_device(device)
    paths = RunPaths(output)
    checkpoint = None if init == imagenet.INIT else init
    with joined(device) as processes, ExitStack() as held:
        processes.check_batch_size(config.batch_size)
        listener = reporter if reporter and processes.is_first else Silent()
        indices = [with_validation(i, config) for i in data]
        run = RunContext(config, indices, paths, processes.device, listener, processes)
        check_images(indices)

        def begin() -> imagenet.Trunk | None:
            check_knowledge(stages, config)
            if "expression" in stages:
                check_method(METHODS[config.method], indices)
            if any(STAGES[name].knowledge == "odds" and not paths.checkpoint(name).is_file() for name in stages):
                check_evidence(indices)
            _check_cache(run, stages)
            if landmarks is not None:
                read_info(landmarks)
            if checkpoint is not None:
                check_same_model(checkpoint, read_info(checkpoint), config)
            check_order(stages, paths, checkpoint)
            trunk = imagenet.read_for(config.network(), stages, paths) if init == imagenet.INIT else None
            held.enter_context(locked(output))
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
        with ExitStack() as recorded:
            if processes.is_first:
                recorded.enter_context(Session(paths, stages, init, landmarks, processes.device))
                recorded.callback(refresh_plots, paths)
            for name in stages:
                processes.place = f"at the start of stage {name}"
                if processes.share(paths.checkpoint(name).is_file):
                    run.reporter.skipped(name)
                    left = read_progress(output) if processes.is_first else None
                    if left is not None and left.stage == name:
                        wrap_up(paths, name)
                    continue
                torch.manual_seed(config.seed)
                start = shared_weights(processes, config, partial(load, name))
                StageRun(stage_of(name, config.network()), start, run).run()
    return paths.checkpoint(stages[-1])


def check_device(device: str) -> None:
    """See that torch has the device.

    Raises:
        ConfigError: it has not.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ConfigError(f"device must be cpu, cuda or cuda:N, got {device!r}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device must be available to torch, got {device!r} (torch sees no CUDA device); use cpu")


def _check_cache(run: RunContext, stages: Sequence[StageName]) -> None:
    images = sum(r.learnable and r.split == "train" for i in run.indices for r in i.records)
    for name in stages:
        if not run.paths.checkpoint(name).is_file():
            check_size(run.config, run.config.network(), STAGES[name], images)
