"""Curves over the epochs of a training run: loss terms of each stage, accuracy, and recall of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aue_crl_core.errors import ConfigError
from aue_crl_core.evaluation.plots import GREY, new_figure, open_frame

_RECALL: Final = "recall/"
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's palette, which colour-blind readers tell apart; a second round of it is drawn dashed."""
_STYLES: Final = ("-", (0, (4, 1.5)))
_ACCURACY, _MEAN = _COLOURS[:2]
_LABEL_GAP: Final = 4.4
"""Least distance of two labels of lines, in % of recall."""


@dataclass(frozen=True)
class EpochFigures:
    """One epoch: `epoch` counts from 1 within `stage`; `train` and `valid` as the history's columns, without prefix."""

    stage: str
    epoch: int
    train: dict[str, float]
    valid: dict[str, float] = field(default_factory=dict)

    @property
    def recall(self) -> dict[str, float]:
        """Class name -> recall on the validation split, in [0, 1]."""
        return {k.removeprefix(_RECALL): v for k, v in self.valid.items() if k.startswith(_RECALL)}


def plot_training_curves(history: Sequence[EpochFigures], title: str = "Training") -> Figure:
    """Each loss term of each stage on its own scale, training solid and validation dashed, above the accuracies of the
    validation split.

    Raises:
        ConfigError: `history` is empty.
    """
    stages = _by_stage(history)
    terms = {stage: list(dict.fromkeys(name for r in rows for name in r.train)) for stage, rows in stages.items()}
    scored = {stage: rows for stage, rows in stages.items() if any("score" in r.valid for r in rows)}
    upper, lower = 1.35 * max(map(len, terms.values())), 2.6 * bool(scored)
    figure = new_figure(max(6.5, 3.5 * len(stages)), 1.3 + upper + lower)
    grid = figure.add_gridspec(1 + bool(scored), len(stages), height_ratios=[upper, lower][: 1 + bool(scored)])
    for k, (stage, rows) in enumerate(stages.items()):
        panels = grid[0, k].subgridspec(len(terms[stage]), 1).subplots(sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, terms[stage], strict=True):
            _plot_loss(axes, stage, name, rows)
        panels[-1].set_xlabel("epoch")
        if k == 0:
            panels[len(panels) // 2].set_ylabel("loss term, weighted")
    if scored:
        widths = [max(len(rows), 8) for rows in scored.values()]
        panels = grid[1, :].subgridspec(1, len(scored), width_ratios=widths).subplots(sharey=True, squeeze=False)[0]
        panels[0].set_ylabel("validation, %")
        for axes, (stage, rows) in zip(panels, scored.items(), strict=True):
            _plot_accuracy(axes, stage, rows)
    figure.legend(
        handles=[
            Line2D([], [], color=GREY, label="loss, training"),
            Line2D([], [], color=GREY, linestyle="--", label="loss, validation"),
            Line2D([], [], color=_ACCURACY, linestyle="-.", label="accuracy"),
            Line2D([], [], color=_MEAN, label="mean class accuracy"),
            Line2D([], [], color=_MEAN, marker="*", markersize=9, linestyle="", label="the epoch that was kept"),
        ],
        fontsize=8,
        frameon=False,
        ncols=5 if len(stages) > 2 else 3,
        loc="outside lower center",
    )
    figure.suptitle(title, fontsize=11)
    return figure


def plot_recall_history(history: Sequence[EpochFigures], classes: Sequence[str], title: str) -> Figure:
    """Recall of each class over the epochs, a panel a stage that classifies; the mean over the classes is thick grey.

    Raises:
        ConfigError: no epoch of `history` has a recall.
    """
    stages = {stage: rows for stage, rows in _by_stage(history).items() if any(r.recall for r in rows)}
    if not stages:
        raise ConfigError("history must hold an epoch with the recall of a class, got none")
    figure = new_figure(1.2 + 4.6 * len(stages), 5.0)
    panels = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
    for axes, (stage, rows) in zip(panels, stages.items(), strict=True):
        _plot_recall(axes, stage, rows, classes)
    panels[0].set_ylabel("recall, %")
    panels[0].set_ylim(-2, 102)
    panels[0].set_yticks(range(0, 101, 20))
    figure.suptitle(title, fontsize=11)
    return figure


def _by_stage(history: Sequence[EpochFigures]) -> dict[str, list[EpochFigures]]:
    if not history:
        raise ConfigError("history must hold at least one epoch, got none")
    stages: dict[str, list[EpochFigures]] = {}
    for row in history:
        stages.setdefault(row.stage, []).append(row)
    return stages


def _plot_loss(axes: Axes, stage: str, name: str, rows: Sequence[EpochFigures]) -> None:
    epochs = [r.epoch for r in rows]
    for side, style in (("train", "-"), ("valid", "--")):
        values = [getattr(r, side).get(name, np.nan) for r in rows]
        if np.isfinite(values).any():
            axes.plot(epochs, values, style, color=GREY, linewidth=1.5, marker=".", markersize=5)
    axes.set_title(f"{stage}: {name}".replace("_", " "), fontsize=9, loc="left", pad=4)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.tick_params(labelsize=8)
    _epoch_axis(axes, epochs)


def _plot_accuracy(axes: Axes, stage: str, rows: Sequence[EpochFigures]) -> None:
    """Accuracies of the validation split; a star marks the epoch that was kept."""
    epochs = [r.epoch for r in rows]
    for name, colour, style in (("accuracy", _ACCURACY, "-."), ("mean_class_accuracy", _MEAN, "-")):
        axes.plot(epochs, [100 * r.valid[name] for r in rows], linestyle=style, color=colour, marker=".")
    best = max(rows, key=lambda r: r.valid["score"])
    axes.plot(
        best.epoch, 100 * best.valid["mean_class_accuracy"], marker="*", markersize=11, color=_MEAN, clip_on=False
    )
    axes.set_title(stage.replace("_", " "), fontsize=9, loc="left", pad=4)
    axes.set_xlabel("epoch")
    axes.tick_params(labelsize=8)
    _epoch_axis(axes, epochs)


def _plot_recall(axes: Axes, stage: str, rows: Sequence[EpochFigures], classes: Sequence[str]) -> None:
    epochs = [r.epoch for r in rows]
    lines = []
    for k, name in enumerate(classes):
        values = [100 * r.recall.get(name, np.nan) for r in rows]
        if np.isfinite(values).any():
            colour, style = _COLOURS[k % len(_COLOURS)], _STYLES[k // len(_COLOURS)]
            lines += axes.plot(epochs, values, linestyle=style, color=colour, linewidth=1.6, marker=".", label=name)
    mean = [100 * r.valid["mean_class_accuracy"] for r in rows]
    lines += axes.plot(epochs, mean, color="#c4c9d1", linewidth=4, zorder=1, label="mean")
    lines.sort(key=lambda line: line.get_ydata()[-1])
    ends = [float(line.get_ydata()[-1]) for line in lines]
    for line, value, place in zip(lines, ends, _spread(ends), strict=True):
        axes.annotate(
            f"{line.get_label()} {value:.0f}",
            (epochs[-1], value),
            (1.08, place),
            textcoords=("axes fraction", "data"),
            color="#1f2937",
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": line.get_color(),
                "linestyle": line.get_linestyle(),
                "linewidth": 1.3,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )
    axes.set_title(f"stage {stage.replace('_', ' ')}", fontsize=10)
    axes.set_xlabel("epoch")
    _epoch_axis(axes, epochs)


def _spread(values: Sequence[float]) -> list[float]:
    """Places for the labels of ascending `values`: as near as can be, at least `_LABEL_GAP` apart, in [0, 100]."""
    gaps = _LABEL_GAP * np.arange(len(values))
    # Least squares under an order: pool neighbours that collide (isotonic regression of value - gap).
    blocks: list[list[float]] = []
    for target in np.asarray(values) - gaps:
        blocks.append([float(target)])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    flat = [float(np.mean(block)) for block in blocks for _ in block]
    return (np.clip(flat, 0, max(100 - gaps[-1], 0)) + gaps).tolist()


def _epoch_axis(axes: Axes, epochs: Sequence[int]) -> None:
    low, high = min(epochs), max(epochs)
    margin = min(max(0.03 * (high - low), 0.15), 0.9) if high > low else 0.5
    axes.set_xlim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    open_frame(axes)
