"""`aue-crl train`: the stages in turn, watched and resumable."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from aue_crl_core.cli.console import out
from aue_crl_core.config import require

if TYPE_CHECKING:
    from rich.console import Console

    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.training.config import StageName, TrainConfig

STAGES: Final = ("landmark", "expression", "action_unit", "fusion", "all")
MODELS: Final = ("resnet101", "resnet50", "resnet18", "edge")


def command(
    data: Annotated[
        list[Path], typer.Option("--data", help="An index that prepare wrote; may be given several times.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run's directory.")],
    stage: Annotated[
        str, typer.Option(metavar="|".join(STAGES), help="all is expression, action_unit and fusion in turn.")
    ] = "all",
    model: Annotated[
        str | None, typer.Option(metavar="|".join(MODELS), help="Default: the config's, else edge.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings, see config/train.")] = None,
    init: Annotated[Path | None, typer.Option(help="A checkpoint to start from instead of random weights.")] = None,
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

    DIR also holds each stage's checkpoint, metrics.csv, TensorBoard scalars, plots, and the state to resume from.
    Under torchrun (docs/distributed.md) the processes share every batch.
    """
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.training.directory import BEST_FILE
    from aue_crl_core.training.distributed import launched_first
    from aue_crl_core.training.run import train
    from aue_crl_core.training.stages import SEQUENCE

    require(stage in STAGES, "--stage", f"be one of {', '.join(STAGES)}", stage)
    indices = [DatasetIndex.read(path) for path in data]
    settings = configure(config, indices, model, epochs, batch_size, seed)
    stages: Sequence[StageName] = SEQUENCE if stage == "all" else (stage,)  # type: ignore[assignment]
    console = out()
    console.quiet = not launched_first()
    if landmarks is None and init is None and stages != ("landmark",):
        landmarks = default_landmarks(output)
        if landmarks is not None:
            console.print(f"landmark net: that of the shipped weights ({landmarks.name})")
    with TrainingProgress(console, settings.batch_size) as progress:
        train(
            settings,
            indices,
            output,
            stages,
            resume=resume,
            init=init,
            landmarks=landmarks,
            device=device,
            reporter=progress,
        )
    console.print(f"{output / BEST_FILE}: use it with --weights {output} --engine torch, or export it", soft_wrap=True)


def configure(
    file: Path | None,
    data: Sequence[DatasetIndex],
    model: str | None,
    epochs: int | None,
    batch_size: int | None,
    seed: int | None,
) -> TrainConfig:
    """The settings of a run: defaults, then the file, then options; the vocabulary is the data's unless the file says.

    Raises:
        ConfigError: a value out of its range, or a file that cannot be used.
    """
    from aue_crl_core.training.config import make_config, read_config
    from aue_crl_core.training.directory import ORDER

    said = file is not None and "vocabulary" in read_config(file)
    vocabulary = None if said else data[0].vocabulary
    settings = make_config(file, model=model, batch_size=batch_size, seed=seed, vocabulary=vocabulary)
    if epochs is None:
        return settings
    changed = {name: dataclasses.replace(getattr(settings, name), epochs=epochs) for name in ORDER}
    return dataclasses.replace(settings, **changed)


def default_landmarks(output: Path) -> Path | None:
    """The shipped checkpoint, for a run that has trained no landmark net of its own."""
    from aue_crl_core.engines import find_weights
    from aue_crl_core.training.directory import RunPaths

    return None if "landmark" in RunPaths(output).finished() else find_weights("edge", "torch")


class TrainingProgress:
    """A progress bar with loss, images per second and time left, and a line for every finished epoch."""

    def __init__(self, console: Console, batch_size: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = console
        self._batch_size = batch_size
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: Any = None
        self._epochs = self._steps = 0

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stage(self, name: str, epochs: int, steps: int, first_epoch: int) -> None:
        """A stage begins: its bar counts the steps of all its epochs."""
        self._epochs, self._steps, self._epoch = epochs, steps, first_epoch
        if first_epoch:
            self._console.print(f"{name}: going on after epoch {first_epoch}")
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=epochs * steps, completed=first_epoch * steps, figures="")
        self._start_clock()

    def step(self, step: int, loss: float) -> None:
        """A batch is done."""
        self._rate = (step + 1) * self._batch_size / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(
            self._task,
            completed=self._epoch * self._steps + step + 1,
            figures=f"epoch {self._epoch + 1}/{self._epochs}  loss {loss:.4f}  {self._rate:.0f} images/s",
        )

    def features(self, done: int, total: int) -> None:
        """A block of frozen features is computed: they are kept for the epochs to come."""
        self._bar.update(self._task, figures=f"epoch {self._epoch + 1}/{self._epochs}  features {done}/{total}")
        self._began = time.monotonic()

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is safe on disk: one line that stays."""
        loss = sum(value for name, value in row.items() if name.startswith("train/"))
        figures = "  ".join(
            f"{name.partition('/')[2]} {value:.4f}" for name, value in row.items() if name.startswith("valid/")
        )
        self._console.print(
            f"{row['stage']} {row['epoch']}/{self._epochs}  loss {loss:.4f}  {self._rate:.0f} images/s  "
            f"waiting for data {row['data_wait']:.0%}  |  {figures}",
            soft_wrap=True,
            highlight=False,
        )
        self._epoch = row["epoch"]
        self._start_clock()

    def skipped(self, name: str) -> None:
        """A stage was finished before."""
        self._console.print(f"{name}: finished before, skipped")

    def _start_clock(self) -> None:
        self._began, self._rate = time.monotonic(), 0.0
