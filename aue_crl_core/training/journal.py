"""What a run writes down about itself as it goes: `metrics.csv`, TensorBoard scalars, plots."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from aue_crl_core import facs
from aue_crl_core.checkpoint import read_info, read_prior
from aue_crl_core.errors import MissingDependencyError
from aue_crl_core.evaluation.plots import plot_prior, plot_training_curves

HISTORY_FILE = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"
PLOTS_FOLDER = "plots"


@dataclass(frozen=True)
class EpochFigures:
    """A row of the history in the form that `plots.plot_training_curves` draws."""

    stage: str
    epoch: int
    train_loss: float
    valid_loss: float | None
    mean_class_accuracy: float | None


class Journal:
    """Writes each epoch of a stage into the history and into `DIR/tensorboard/STAGE`; a context manager.

    Raises:
        MissingDependencyError: tensorboard is not installed.
    """

    def __init__(self, directory: Path, stage: str) -> None:
        self._history = directory / HISTORY_FILE
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError("tensorboard", "train", "training") from error
        self._writer = SummaryWriter(str(directory / TENSORBOARD_FOLDER / stage))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()

    def write(self, row: dict[str, Any]) -> None:
        """Take an epoch in; one that is trained again after a crash replaces its row."""
        append_row(self._history, row)
        for name, value in row.items():
            if isinstance(value, float):
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the history in place of the same stage's rows from that epoch on; new columns widen the file."""
    rows = [r for r in read_history(path) if r["stage"] != row["stage"] or int(r["epoch"]) < row["epoch"]]
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


def draw_plots(directory: Path, checkpoint: Path) -> list[Path]:
    """Draw the training curves so far and the learned prior of `checkpoint`, if it has one, into `DIR/plots`."""
    config, prior = read_info(checkpoint).config, read_prior(checkpoint)
    folder = directory / PLOTS_FOLDER
    folder.mkdir(exist_ok=True)
    drawn = []
    history = [_figures(row) for row in read_history(directory / HISTORY_FILE)]
    if history:
        drawn.append(folder / "training.png")
        plot_training_curves(history, f"Training of {config.backbone}").savefig(drawn[-1])
    if prior is not None:
        drawn.append(folder / "prior.png")
        plot_prior(prior, config.expressions, facs.ACTION_UNITS).savefig(drawn[-1])
    return drawn


def _figures(row: dict[str, str]) -> EpochFigures:
    terms = {name.partition("/")[2]: float(value) for name, value in row.items() if name.startswith("train/")}
    valid = {name.partition("/")[2]: float(value) for name, value in row.items() if name.startswith("valid/")}
    return EpochFigures(
        row["stage"],
        int(row["epoch"]),
        sum(terms.values()),
        sum(valid[name] for name in terms) if terms.keys() <= valid.keys() else None,
        valid.get("mean_class_accuracy"),
    )
