"""How a comparison looks on a terminal, in a pipe and in a file: a line for every run, and a bar where one can move."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from aue_crl_core.comparison.plan import Trial, read_comparison, write_comparison
from aue_crl_core.comparison.predictions import Predictions
from aue_crl_core.training.directory.history import HISTORY_FILE, read_history


class ComparisonProgress:
    """Hears how the runs of the comparison in `directory` go, prints it, and writes down which failed; a context
    manager. The bar counts epochs of all `trials`, those of earlier calls too."""

    def __init__(self, console: Console, directory: Path, trials: Sequence[Trial]) -> None:
        self._console, self._directory, self._trials = console, directory, trials
        self._running: list[Trial] = []
        self._began, self._before = time.monotonic(), sum(map(_epochs_done, trials))
        self.failed: set[str] = set()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("epochs", total=self._total(), completed=self._before, left="")

    def __enter__(self) -> ComparisonProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            self.say("interrupted; the finished epochs are kept: the same command goes on")

    def started(self, trial: Trial) -> None:
        """See `Listener`."""
        self._running.append(trial)

    def ended(self, trial: Trial, reason: str | None) -> None:
        """See `Listener`."""
        self._running.remove(trial)
        about = read_comparison(self._directory)
        if reason is None:
            about["failed"].pop(trial.name, None)
            run = Predictions.read(trial.predictions).about
            words = f"kept epoch {' + '.join(map(str, run.kept.values()))}, valid: " + ", ".join(
                f"{title} {100 * run.valid[name]:.1f} %"
                for name, title in (("accuracy", "accuracy"), ("mean_class_accuracy", "mean class"))
            )
        else:
            self.failed.add(trial.name)
            about["failed"][trial.name] = reason
            words = f"failed: {reason}" + (f" (see {trial.log})" if trial.log.is_file() else "")
        write_comparison(self._directory, about)
        finished = sum(each.done for each in self._trials)
        self.say(f"{trial.name}: {words} ({finished} of {len(self._trials)} runs done{self._left(', ')})")

    def waiting(self) -> None:
        """See `Listener`."""
        if self._console.is_terminal:
            words = self._running[0].name if len(self._running) == 1 else f"{len(self._running)} runs"
            done, left = self._done(), self._left("")
            self._bar.update(self._task, total=self._total(), completed=done, left=left, description=words)

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, soft_wrap=True, highlight=False)

    def _done(self) -> int:
        return sum(_epochs_done(trial) for trial in self._trials if trial.name not in self.failed)

    def _total(self) -> int:
        return sum(sum(trial.epochs.values()) for trial in self._trials if trial.name not in self.failed)

    def _left(self, separator: str) -> str:
        """The time that the epochs left will take, if they take as long as those of this call did."""
        done = self._done()
        if not self._before < done < self._total():
            return ""
        seconds = (time.monotonic() - self._began) / (done - self._before) * (self._total() - done)
        return f"{separator}{timedelta(seconds=round(seconds))} left"


def _epochs_done(trial: Trial) -> int:
    if trial.done:
        return sum(trial.epochs.values())
    return len(read_history(trial.directory / HISTORY_FILE))
