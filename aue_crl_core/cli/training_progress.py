"""How a training run looks on a terminal, in a pipe and in a file: lines that stay, and a bar where one can move."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.training.config import StageName, TrainConfig

_TRAINS: Final = {
    "landmark": "the net that finds face points",
    "expression": "backbone and expression branch",
    "action_unit": "action unit branch and prior",
    "fusion": "fusion and both classifiers",
    "joint": "all of the network but the landmark net",
    "evidence": "how action units are read from what the network sees",
}
_SHOWN: Final = {"accuracy": "accuracy", "mean_class_accuracy": "mean class", "point_error": "point error"}
"""Validation figures of an epoch's line; the history has all of them."""


class TrainingProgress:
    """Prints what begins, what is read, a line for every epoch, and what to do next; a `Reporter` and context manager.

    On a terminal a bar with loss, images per second and time left moves below; a pipe or a file gets the lines only.
    """

    def __init__(
        self, console: Console, config: TrainConfig, stages: Sequence[StageName], device: str, output: Path
    ) -> None:
        self._console, self._config, self._stages = console, config, list(stages)
        self._device, self._output = device, output
        self._head = "" if config.method == "aue_crl" else f" with the head of {config.method}"
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: Any = None
        self._epochs = self._steps = self._epoch = 0
        self._best: dict[str, Any] | None = None
        self._started = time.monotonic()

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            self.say(f"interrupted; the finished epochs are kept: add --resume to go on, or look into {self._output}")

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, soft_wrap=True, highlight=False)

    def begin(self, init: str | None, data: Sequence[DatasetIndex]) -> None:
        """What is going to be done, and on what."""
        from aue_crl_core.training.loop import resolve_precision

        precision = resolve_precision(self._device, self._config.precision)
        self.say(
            f"training {self._config.model}{self._head} ({self._config.vocabulary} expressions) on {self._device} in "
            f"{precision}, {self._config.batch_size} images a step: {', '.join(self._stages)}"
        )
        self._own_valid = ["valid" in index.splits() for index in data]
        if init is not None:
            self.say("start: torchvision's ImageNet weights for the trunk" if init == "imagenet" else f"start: {init}")

    def data(self, indices: Sequence[DatasetIndex]) -> None:
        """The indices as they are used: their valid split is their own, or held out from train."""
        for index, own in zip(indices, self._own_valid, strict=True):
            counts = {split: sum(r.usable and r.split == split for r in index.records) for split in ("train", "valid")}
            unused = [split for split in index.splits() if split not in counts]
            parts = [f"train {counts['train']}", f"valid {counts['valid']}" + ("" if own else " (held out from train)")]
            parts += [f"{', '.join(unused)}: not read"] if unused else []
            self.say(f"data: {index.file or index.layout} ({index.layout}): {', '.join(parts)}")
        self.say(f"output: {self._output} (README.md there says what is what; watch with tensorboard --logdir)")

    def stage(self, name: str, epochs: int, steps: int, first_epoch: int) -> None:
        """A stage begins: its bar counts the steps of all its epochs."""
        self._epochs, self._steps, self._epoch, self._best = epochs, steps, first_epoch, None
        patience = getattr(self._config, name).patience
        number = f"stage {self._stages.index(name) + 1} of {len(self._stages)}, " if name in self._stages else ""  # type: ignore[arg-type]
        until = f"at most {epochs} epochs, patience {patience}" if patience else _count(epochs, "epoch")
        self.say("")
        trains = f"backbone{self._head}" if name == "expression" and self._head else _TRAINS.get(name, name)
        self.say(f"{number}{name}: {trains}; {until} of {_count(steps, 'step')}")
        if first_epoch:
            self.say(f"{name}: going on after epoch {first_epoch}")
        self._remove_task()
        self._task = self._bar.add_task(name, total=epochs * steps, completed=first_epoch * steps, figures="")
        self._start_clock()

    def step(self, step: int, loss: float) -> None:
        """A batch is done."""
        self._rate = (step + 1) * self._config.batch_size / max(time.monotonic() - self._began, 1e-9)
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
        if row["since_best"] == 0:
            self._best = row
            standing = "best so far"
        else:
            standing = f"{_count(row['since_best'], 'epoch')} since the best"
        self.say(
            f"{row['stage']} {row['epoch']:{len(str(self._epochs))}}/{self._epochs}  loss {_sum(row, 'train'):.4f}  "
            f"valid: loss {_sum(row, 'valid'):.4f}{_figures(row)}  {standing}  "
            f"({row['seconds']:.0f} s, {self._rate:.0f} images/s, waiting for data {row['data_wait']:.0%})"
        )
        self._epoch = row["epoch"]
        self._start_clock()

    def finished(self, name: str, epochs: int, early: bool) -> None:
        """A stage is done: which epoch was kept."""
        self._remove_task()
        why = f"stopped early, after {_count(epochs, 'epoch')}" if early else f"done after {_count(epochs, 'epoch')}"
        kept = "" if self._best is None else f"; kept epoch {self._best['epoch']}{_figures(self._best)}"
        self.say(f"{name}: {why}{kept} -> {self._output / name}.safetensors")

    def skipped(self, name: str) -> None:
        """A stage was finished before."""
        self.say(f"{name}: finished before, skipped")

    def end(self, data: Path) -> None:
        """What there is now, and the next commands."""
        from aue_crl_core.training.directory.paths import BEST_FILE

        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        hours, minutes = divmod(minutes, 60)
        self.say("")
        self.say(f"finished in {hours}:{minutes:02}:{seconds:02}; the result is {self._output / BEST_FILE}")
        if self._stages[-1] == "landmark" or (self._stages[-1] == "expression" and not self._head):
            return
        weights = shlex.quote(str(self._output))
        self.say("next:")
        for line in (
            f"aue-crl evaluate --data {shlex.quote(str(data))} --split valid --weights {weights} --engine torch "
            f"--report {weights}/report",
            f"aue-crl export --weights {weights} --output {weights}/best.onnx",
        ):
            self.say(f"  {line}")

    def _remove_task(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = None

    def _start_clock(self) -> None:
        self._began, self._rate = time.monotonic(), 0.0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sum(row: dict[str, Any], side: str) -> float:
    """The sum of a row's loss terms in training or validation."""
    terms = [name.removeprefix("train/") for name in row if name.startswith("train/")]
    return sum(row.get(f"{side}/{term}", 0.0) for term in terms)


def _figures(row: dict[str, Any]) -> str:
    parts = []
    for name, title in _SHOWN.items():
        value = row.get(f"valid/{name}")
        if value is not None:
            parts.append(f", {title} {value:.4f}" if name == "point_error" else f", {title} {100 * value:.1f} %")
    return "".join(parts)
