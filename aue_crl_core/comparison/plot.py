"""The comparison as a picture: accuracies with their spread over seeds, and recall of each class as shades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aue_crl_core.comparison.results import BASELINE, MethodResult, Spread
from aue_crl_core.evaluation.plots import GREY, draw_grid, new_figure

_BLUE, _ORANGE = "#0072b2", "#d55e00"
_LINE: Final = "#e5e7eb"
_INK: Final = "#1f2937"
_COLOURS: Final = {BASELINE: GREY, "aue_crl": _ORANGE}


def plot_comparison(results: Sequence[MethodResult], title: str) -> Figure:
    """A row a method, the most accurate one on top. Each panel of accuracies has a dot for every seed, the mean as a
    line with its standard deviation, and the baseline's mean dashed; right of them recall per class.

    Raises:
        IndexError: no result.
    """
    ranked = sorted(results, key=lambda result: result.accuracy.mean)
    classes = ranked[0].runs[0].classes
    figure = new_figure(8.2 + 0.62 * len(classes), 1.9 + 0.42 * len(ranked))
    left, middle, right = figure.subplots(1, 3, sharey=True, width_ratios=(3, 3, 0.7 * len(classes)))
    _plot_rates(left, ranked, [result.accuracy for result in ranked], "accuracy, %")
    _plot_rates(middle, ranked, [result.mean_class_accuracy for result in ranked], "mean class accuracy, %")
    _plot_recall(right, [result.recall for result in ranked], classes)
    left.set_yticks(range(len(ranked)), [result.title for result in ranked], fontsize=10)
    left.set_ylim(-0.5, len(ranked) - 0.5)
    for axes in (left, middle, right):
        axes.tick_params(axis="y", which="both", length=0)
    figure.suptitle(f"{title}\na dot a seed, its mean ± standard deviation; dashed: {BASELINE}", fontsize=10)
    return figure


def _plot_rates(axes: Axes, ranked: Sequence[MethodResult], spreads: Sequence[Spread], label: str) -> None:
    for place, (result, spread) in enumerate(zip(ranked, spreads, strict=True)):
        mean, colour = 100 * spread.mean, _COLOURS.get(result.method, _BLUE)
        if spread.deviation is not None:
            reach = 100 * spread.deviation
            axes.plot([mean - reach, mean + reach], [place] * 2, color=colour, alpha=0.35, linewidth=7)
        axes.plot(100 * np.array(spread.values), [place] * len(spread.values), ".", color=colour, markersize=7)
        axes.plot([mean] * 2, [place - 0.27, place + 0.27], color=colour, linewidth=2)
        axes.annotate(
            f"{mean:.1f}", (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=_INK
        )
        if result.method == BASELINE:
            axes.axvline(mean, color=GREY, linestyle="--", linewidth=1, zorder=0)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(x=0.08)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="both", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def _plot_recall(axes: Axes, rows: Sequence[dict[str, Spread | None]], classes: Sequence[str]) -> None:
    """Mean recall over the seeds, in %; empty where the class has no face."""
    values = np.array([[np.nan if row[c] is None else row[c].mean for c in classes] for row in rows])  # type: ignore[union-attr]
    light = ListedColormap(colormaps["Blues"](np.linspace(0, 0.75, 256)))
    image = axes.imshow(values, cmap=light, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if image.norm(value) > 0.85 else _INK
            axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_xlabel("recall, %")
    draw_grid(axes, values.shape)
    axes.tick_params(axis="x", length=0)
