"""What a stage starts from: the stage before it, a given checkpoint, or random weights; the same in all processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from aue_crl_core.checkpoint import CheckpointInfo, load_landmark_net, load_network
from aue_crl_core.errors import CheckpointError, TrainingError
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.networks.build import build_network
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.config import StageName, TrainConfig
from aue_crl_core.training.directory.paths import RunPaths
from aue_crl_core.training.processes.processes import Processes
from aue_crl_core.training.stages import STAGES, sequence


class Start(NamedTuple):
    """What a stage begins with: the prior's table where an earlier stage has trained it, and what to say of it all.

    `metrics`: what its checkpoint says of it.
    """

    network: FaceNetwork
    prior: torch.Tensor | None = None
    license: str = "Apache-2.0"
    initialised_from: str = ""
    metrics: Mapping[str, Any] = MappingProxyType({})


def starting_weights(
    name: StageName, config: TrainConfig, paths: RunPaths, init: Path | None, landmarks: Path | None
) -> Start:
    """What a stage starts from: the stage before it, else `init`, else random weights.

    Raises:
        CheckpointError: a file that cannot be used, or is of another model or vocabulary.
    """
    finished = paths.finished()
    before = STAGES[name].follows
    path = paths.checkpoint(before) if before in finished else init
    if path is not None:
        network, info = load_network(path)
        check_same_model(path, info, config)
        prior = None if info.prior is None else torch.tensor(info.prior)
        origin = info.initialised_from if path != init else "; ".join(filter(None, (path.name, info.initialised_from)))
        start = Start(network, prior, info.license, origin, info.metrics)
    else:
        start = Start(build_network(config.network()))
    if landmarks is None and "landmark" in finished:
        landmarks = paths.checkpoint("landmark")
    if landmarks is not None and name != "landmark":
        load_landmark_net(start.network, landmarks)
    return start


def shared_weights(processes: Processes, config: TrainConfig, load: Callable[[], Start]) -> Start:
    """What `load` returns in the first process, in all of them (but what only the first writes down)."""
    loaded = processes.on_first(load)
    model, learned = processes.share(lambda: (loaded.network.config, loaded.prior is not None))  # type: ignore[union-attr]
    if loaded is None:
        table = torch.empty_like(LearnablePrior(config.vocabulary).table) if learned else None
        loaded = Start(build_network(model), table)
    processes.copy_from_first(loaded.network.state_dict().values())
    processes.copy_from_first([] if loaded.prior is None else [loaded.prior])
    return loaded


def check_order(stages: Sequence[StageName], paths: RunPaths, init: Path | None) -> None:
    """See that every stage will find the one it builds on.

    Raises:
        TrainingError: one will not.
    """
    done = set(paths.finished())
    for stage in stages:
        needed = STAGES[stage].follows
        if stage not in done and needed is not None and needed not in done and init is None:
            raise TrainingError(
                f"stage {stage} starts from stage {needed}, and {paths.checkpoint(needed)} does not exist; "
                f"run --stage {needed} first, use --stage all, or give --init CHECKPOINT"
            )
        done.add(stage)


def check_knowledge(stages: Sequence[StageName], config: TrainConfig) -> None:
    """See that the stages are of the network's method, and of its form of the knowledge.

    Raises:
        TrainingError: one is not.
    """
    known = ("landmark", *sequence(config.network()))
    if config.method != "aue_crl" and not set(stages) <= set(known):
        raise TrainingError(
            f"method {config.method} has the stages {' and '.join(known)}, got {', '.join(stages)}; take --stage "
            "expression (or all), or --method aue_crl"
        )
    own = config.network().knowledge
    for name in stages:
        needed = STAGES[name].knowledge
        if needed not in (None, own):
            raise TrainingError(
                f"stage {name} trains networks whose knowledge is {needed}, and that of {config.model} is {own}; take "
                f"{'--stage joint' if own == 'odds' else '--stage action_unit, then fusion'}, or set knowledge: "
                f"{needed} in --config"
            )


def check_same_model(path: Path, info: CheckpointInfo, config: TrainConfig) -> None:
    """See that a checkpoint is of the run's network.

    Raises:
        CheckpointError: it is of another.
    """
    for what, got, expected in (
        ("vocabulary", info.config.vocabulary, config.vocabulary),
        ("model", info.config.backbone, config.model),
        ("method", info.config.method, config.method),
        ("knowledge", info.config.knowledge, config.network().knowledge),
        ("fusion_dim", info.config.fusion_dim, config.fusion_dim or info.config.fusion_dim),
        ("preprocessing", info.config.preprocessing, config.preprocessing or info.config.preprocessing),
    ):
        if got != expected:
            raise CheckpointError(
                f"{path} must have the run's {what} {expected!r} to start from, got {got!r}; "
                f"train with {what}: {got}, or give another --init"
            )
