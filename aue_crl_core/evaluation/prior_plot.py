"""The learned prior as a heat map, with what training changed of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError
from aue_crl_core.evaluation.plots import GREY, draw_grid, label_ticks, new_figure

_LEAST_REACH: Final = 0.02
"""The ends of the difference's colour scale, where training changed less."""


def plot_prior(
    table: ArrayLike,
    start: ArrayLike,
    expressions: Sequence[str],
    units: Sequence[int],
    title: str = "P(action unit | expression), the learned prior",
) -> Figure:
    """The prior as a heat map, primary and secondary action units framed; below it, its difference from the start.

    Args:
        table: CxU probabilities in [0, 1], row = expression, column = action unit.
        start: CxU, the values before training.
        expressions: C names.
        units: U FACS codes.
        title: the heading.

    Raises:
        ConfigError: the shape of `table` or `start` is not (C, U).
    """
    values, before = (np.asarray(t, dtype=np.float64) for t in (table, start))
    for name, array in (("table", values), ("start", before)):
        if array.shape != (len(expressions), len(units)):
            raise ConfigError(f"{name} must be {len(expressions)}x{len(units)}, got {array.shape}")
    change = values - before
    figure = new_figure(3.0 + 0.52 * len(units), 3.4 + 0.62 * len(expressions))
    upper, lower = figure.subplots(2, 1, sharex=True)
    light = ListedColormap(colormaps["Blues"](np.linspace(0, 0.72, 256)))
    image = upper.imshow(values, cmap=light, vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if value > 0.85 else "#1f2937"
        upper.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
    _frame(upper, before)
    upper.set_title(title, fontsize=10, pad=22)
    figure.colorbar(image, ax=upper, pad=0.01, fraction=0.03, label="probability")

    reach = max(float(abs(change).max()), _LEAST_REACH)
    digits = 0 if reach >= 0.1 else 1
    image = lower.imshow(change, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto")
    for (i, j), value in np.ndenumerate(change):
        colour = "white" if abs(value) > 0.6 * reach else "#1f2937"
        text = f"{100 * value:+.{digits}f}" if round(100 * value, digits) else "0"
        lower.text(j, i, text, ha="center", va="center", color=colour, fontsize=7)
    lower.set_title("difference from its start (numbers in hundredths)", fontsize=10)
    figure.colorbar(image, ax=lower, pad=0.01, fraction=0.03, label="learned − start")
    for axes in (upper, lower):
        label_ticks(axes, [f"AU {u} {facs.ACTION_UNIT_NAMES.get(u, '')}".strip() for u in units], expressions)
        draw_grid(axes, values.shape)
    upper.tick_params(labelbottom=False)
    return figure


def _frame(axes: Axes, start: NDArray[np.float64]) -> None:
    """Mark the entries that the knowledge calls primary (solid frame) and secondary (dotted frame)."""
    for (i, j), value in np.ndenumerate(start):
        if value in (facs.PRIMARY.start, facs.SECONDARY.start):
            style = "-" if value == facs.PRIMARY.start else ":"
            axes.add_patch(
                Rectangle(
                    (j - 0.44, i - 0.44), 0.88, 0.88, fill=False, edgecolor="black", linestyle=style, linewidth=1.2
                )
            )
    primary, secondary = facs.PRIMARY, facs.SECONDARY
    axes.legend(
        handles=[
            Patch(fill=False, edgecolor="black", linestyle="-", label=f"primary, in [{primary.low}, {primary.high:g}]"),
            Patch(
                fill=False, edgecolor="black", linestyle=":", label=f"secondary, in [{secondary.low}, {secondary.high}]"
            ),
            Patch(fill=False, edgecolor=GREY, linewidth=0, label=f"others, in [{facs.OTHER.low:g}, {facs.OTHER.high}]"),
        ],
        fontsize=8,
        frameon=False,
        ncols=3,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.99),
    )
