"""What a run writes down about itself as it goes: its history, TensorBoard scalars, plots."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from aue_crl_core import facs
from aue_crl_core.checkpoint import read_info, read_prior
from aue_crl_core.errors import MissingDependencyError
from aue_crl_core.evaluation.curves import EpochFigures, plot_recall_history, plot_training_curves
from aue_crl_core.evaluation.prior_plot import plot_prior
from aue_crl_core.training.directory.history import HISTORY_FILE, append_row, read_history
from aue_crl_core.training.directory.paths import RunPaths, is_current

TENSORBOARD_FOLDER = "tensorboard"
PLOTS_FOLDER = "plots"


class Journal:
    """Writes each epoch of a stage into the history and into `DIR/tensorboard/STAGE`; a context manager.

    `epochs`: how many are done before; scalars of later ones, left by a process that was killed, are void.

    Raises:
        MissingDependencyError: tensorboard is not installed.
    """

    def __init__(self, directory: Path, stage: str, epochs: int = 0) -> None:
        self._history = directory / HISTORY_FILE
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError("tensorboard", "train", "training") from error
        self._writer = SummaryWriter(str(directory / TENSORBOARD_FOLDER / stage), purge_step=epochs + 1)

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


def refresh_plots(paths: RunPaths) -> None:
    """Draw `DIR/plots` anew where they are older than the furthest finished stage: the losses and the recall of each
    class so far, and the prior that the stage learned, where it did. Once a run, for that takes seconds."""
    finished, folder = paths.finished(), paths.directory / PLOTS_FOLDER
    if not finished:
        return
    checkpoint = paths.checkpoint(finished[-1])
    if is_current(folder / "training.png", checkpoint):
        return
    config, prior = read_info(checkpoint).config, read_prior(checkpoint)
    folder.mkdir(exist_ok=True)
    history = [epoch_figures(row) for row in read_history(paths.directory / HISTORY_FILE)]
    figures = {}
    if history:
        figures["training"] = plot_training_curves(history, f"Training of {config.backbone}")
    if any(row.recall for row in history):
        figures["recall"] = plot_recall_history(
            history, config.expressions, f"Recall per class on the validation split, {config.backbone}"
        )
    if prior is not None:
        start = [[level.start for level in row] for row in facs.prior_levels(config.vocabulary)]
        figures["prior"] = plot_prior(prior, start, config.expressions, facs.ACTION_UNITS)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png")


def epoch_figures(row: dict[str, str]) -> EpochFigures:
    """A row of the history as the plots take it."""
    values = {name: float(value) for name, value in row.items() if name.startswith(("train/", "valid/"))}
    return EpochFigures(
        row["stage"],
        int(row["epoch"]),
        {name.removeprefix("train/"): value for name, value in values.items() if name.startswith("train/")},
        {name.removeprefix("valid/"): value for name, value in values.items() if name.startswith("valid/")},
    )
