"""`aue-crl train`: the stages in turn, watched and resumable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, get_args

import typer

from aue_crl_core.cli.console import out
from aue_crl_core.config import MethodName, ModelName, require
from aue_crl_core.errors import training_imports

if TYPE_CHECKING:
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.training.config import StageName, TrainConfig

STAGES: Final = ("landmark", "expression", "action_unit", "fusion", "joint", "evidence", "all")
MODELS: Final = get_args(ModelName)
METHODS: Final = get_args(MethodName)


def command(
    data: Annotated[
        list[Path], typer.Option("--data", help="An index that prepare wrote; may be given several times.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run's directory.")],
    stage: Annotated[
        str,
        typer.Option(
            metavar="|".join(STAGES),
            help="all: expression, action_unit, fusion; of mobilenet_v2: expression, joint; of a --method: expression.",
        ),
    ] = "all",
    model: Annotated[
        str | None, typer.Option(metavar="|".join(MODELS), help="Default: the config's, else edge.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"AUE-CRL, or a method to compare it with: {', '.join(METHODS)}. Default: the config's, else aue_crl.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings, see config/train.")] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="CHECKPOINT|imagenet",
            help="What to start from instead of random weights: a checkpoint, a run's directory or a shipped name, or "
            "torchvision's ImageNet weights for the trunk of a resnet (downloaded unless they are in TORCH_HOME).",
        ),
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint whose landmark net to use. Default: this run's or --init's, else the shipped one."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every stage.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step, of all processes together.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same run.")] = None,
) -> None:
    """Train a network on one or more indices; DIR/best.safetensors is the result.

    DIR also holds each stage's checkpoints, metrics.csv, TensorBoard scalars, plots, the state to resume from, and a
    README.md that says what is what. Under torchrun (docs/distributed.md) the processes share every batch.
    """
    from aue_crl_core.cli.training_progress import TrainingProgress
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.engines import find_weights

    with training_imports("training"):
        from aue_crl_core.training.processes.processes import launched_first
        from aue_crl_core.training.run import train
        from aue_crl_core.training.stages import sequence
        from aue_crl_core.training.weights.imagenet import INIT

    require(stage in STAGES, "--stage", f"be one of {', '.join(STAGES)}", stage)
    indices = [DatasetIndex.read(path) for path in data]
    settings = configure(config, indices, epochs, model=model, method=method, batch_size=batch_size, seed=seed)
    stages: Sequence[StageName] = sequence(settings.network()) if stage == "all" else (stage,)  # type: ignore[assignment]
    console = out()
    console.quiet = not launched_first()
    progress = TrainingProgress(console, settings, stages, device, output)
    progress.begin(init, indices)
    if landmarks is None and init in (None, INIT) and stages != ("landmark",):
        landmarks = default_landmarks(output)
        if landmarks is not None:
            progress.say(f"landmark net: that of the shipped weights ({landmarks.name})")
    with progress:
        train(
            settings,
            indices,
            output,
            stages,
            resume=resume,
            init=init if init is None or init == INIT else find_weights(init, "torch"),
            landmarks=landmarks,
            device=device,
            reporter=progress,
        )
    progress.end(data[0])


def configure(
    file: Path | None, data: Sequence[DatasetIndex], epochs: int | None, **options: str | int | None
) -> TrainConfig:
    """The settings of a run: defaults, then the file, then options; the vocabulary is the data's unless the file says.

    Raises:
        ConfigError: a value out of its range, or a file that cannot be used.
    """
    from aue_crl_core.training.config import make_config, read_config
    from aue_crl_core.training.stages import STAGES

    said = file is not None and "vocabulary" in read_config(file)
    vocabulary = None if said else data[0].vocabulary
    settings = make_config(file, vocabulary=vocabulary, **options)
    if epochs is None:
        return settings
    changed = {name: dataclasses.replace(getattr(settings, name), epochs=epochs) for name in STAGES}
    return dataclasses.replace(settings, **changed)


def default_landmarks(output: Path) -> Path | None:
    """The shipped checkpoint, for a run that has trained no landmark net of its own."""
    from aue_crl_core.engines import find_weights
    from aue_crl_core.training.directory.paths import RunPaths

    return None if "landmark" in RunPaths(output).finished() else find_weights("edge", "torch")
