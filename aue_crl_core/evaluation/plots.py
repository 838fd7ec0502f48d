"""Figures of an evaluation. Each function returns a matplotlib `Figure` for the caller to save.

Figures are made through the object API, so that nothing here touches pyplot's global state or needs a display.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from aue_crl_core.errors import MissingDependencyError
from aue_crl_core.evaluation.metrics import ExpressionMetrics

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise MissingDependencyError("matplotlib", "demo", "drawing the report") from error

_BLUE: Final = "#2a6fbb"
_PALE: Final = "#a9c6e4"
GREY: Final = "#6b7280"


def plot_confusion(metrics: ExpressionMetrics, title: str) -> Figure:
    """The confusion matrix: shade and % are shares of the true class, counts below; missed faces as a last column."""
    counts = np.array(metrics.confusion)
    columns = list(metrics.classes)
    if metrics.n_missed:
        counts = np.column_stack([counts, metrics.missed])
        columns.append("no face found")
    support = np.array(metrics.support)[:, None]
    shares = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)

    cell = 0.85 if len(metrics.classes) <= 8 else 0.75
    figure = new_figure(2.6 + cell * len(columns), 2.0 + cell * len(metrics.classes))
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.argwhere(counts > 0):
        colour = "white" if shares[i, j] > 0.55 else "#1f2937"
        axes.text(j, i - 0.1, _share(shares[i, j]), ha="center", va="center", color=colour, fontsize=9)
        axes.text(j, i + 0.2, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=7, alpha=0.8)
    label_ticks(axes, columns, [f"{name} ({n})" for name, n in zip(metrics.classes, metrics.support, strict=True)])
    draw_grid(axes, counts.shape)
    if metrics.n_missed:
        axes.axvline(len(metrics.classes) - 0.5, color=GREY, linewidth=1.5)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled (images)")
    axes.set_title(
        f"{title}\nmean class accuracy {100 * metrics.mean_class_accuracy:.1f} %, "
        f"accuracy {100 * metrics.accuracy:.1f} %, {metrics.n} images",
        fontsize=10,
    )
    return figure


def plot_recall(metrics_by_title: Mapping[str, ExpressionMetrics], title: str) -> Figure:
    """Recall per class as bars, one series an entry (the last is drawn strongest), its mean class accuracy dashed."""
    classes = next(iter(metrics_by_title.values())).classes
    figure = new_figure(max(6.5, 1.8 + 0.95 * len(classes)), 4.2)
    axes = figure.add_subplot()
    width = 0.8 / len(metrics_by_title)
    colours = (*[_PALE] * (len(metrics_by_title) - 1), _BLUE)
    for k, (name, metrics) in enumerate(metrics_by_title.items()):
        mean = 100 * metrics.mean_class_accuracy
        places = np.arange(len(classes)) + (k - (len(metrics_by_title) - 1) / 2) * width
        heights = [100 * (metrics.per_class_recall[c] or 0.0) for c in classes]
        bars = axes.bar(places, heights, width * 0.94, color=colours[k], label=f"{name} (mean {mean:.1f} %)")
        known = [
            f"{h:.0f}" if metrics.per_class_recall[c] is not None else "-"
            for c, h in zip(classes, heights, strict=True)
        ]
        marks = axes.bar_label(bars, known, fontsize=8, padding=2.5)
        for mark in marks:
            mark.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})
        axes.axhline(mean, color=colours[k], linestyle="--", linewidth=1, zorder=0)
    support = next(iter(metrics_by_title.values())).support
    names = [f"{c} ({n})".replace(" ", "\n") for c, n in zip(classes, support, strict=True)]
    axes.set_xticks(range(len(classes)), names, fontsize=9)
    axes.set_ylim(0, 108)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("recall, %")
    axes.set_xlabel("class (images)")
    axes.legend(fontsize=8, ncols=len(metrics_by_title), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    open_frame(axes)
    return figure


def plot_reliability(metrics: ExpressionMetrics, title: str) -> Figure:
    """Accuracy against stated confidence per bin, the gap to the diagonal, and how many predictions each bin holds."""
    figure = new_figure(5.2, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = [b for b in metrics.reliability if b.accuracy is not None and b.confidence is not None]
    left = [b.low for b in metrics.reliability]
    width = metrics.reliability[0].high - metrics.reliability[0].low
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
    upper.bar(
        [b.low for b in bins],
        [b.accuracy for b in bins],
        width,
        align="edge",
        color=_PALE,
        edgecolor="white",
        label="accuracy in the bin",
    )
    upper.scatter(
        [b.confidence for b in bins],
        [b.accuracy for b in bins],
        16,
        color=_BLUE,
        zorder=3,
        label="at the bin's mean confidence",
    )
    upper.set_ylim(0, 1.02)
    upper.set_ylabel("accuracy")
    upper.legend(fontsize=8, loc="upper left", frameon=False)
    error = "no face found" if metrics.ece is None else f"{100 * metrics.ece:.1f} %"
    upper.set_title(f"{title}\nexpected calibration error {error}", fontsize=10)
    lower.bar(left, [b.count for b in metrics.reliability], width, align="edge", color=GREY, edgecolor="white")
    lower.set_xlim(0, 1)
    lower.set_xlabel("confidence (top probability)")
    lower.set_ylabel("predictions")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    open_frame(upper)
    open_frame(lower)
    return figure


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 0.005 else "<1 %"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches that needs no display."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def label_ticks(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Names for the columns and rows of an image."""
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.tick_params(length=0)


def draw_grid(axes: Axes, shape: tuple[int, ...]) -> None:
    """White lines between the cells of an image."""
    axes.set_xticks(np.arange(shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def open_frame(axes: Axes) -> None:
    """No frame but the two axes, and light lines across."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
