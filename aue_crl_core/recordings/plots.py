"""Figures of a recording: a face's course over time, and its path over the plane of valence and arousal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from aue_crl_core import facs
from aue_crl_core.circumplex import VALENCE_AROUSAL
from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_core.evaluation.plots import GREY, new_figure, open_frame
from aue_crl_core.media.drawing.overlay import label_colour
from aue_crl_core.recordings.recording import STATES, Film, Track
from aue_crl_core.recordings.tables import valence_arousal_of

try:
    from matplotlib.axes import Axes
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, MultipleLocator
except ImportError as error:
    reason = import_failure(error, "matplotlib")
    raise MissingDependencyError("matplotlib", "demo", "drawing a recording", reason) from error

BINS: Final = 480
"""A timeline has at most so many columns, however long the film is."""
_STATE_COLOURS: Final = {"ok": "#5aa469", "uncertain": "#e8b64c", "low_quality": "#c3c9d1"}
_STATE_NAMES: Final = {"ok": "ok", "uncertain": "uncertain", "low_quality": "low quality"}
_LEFT: Final = -0.6
_DARKER: Final = 0.82
_UNSURE: Final = 0.4
_GAP: Final = 1.5
_MOST_TICKS: Final = 9
_TICK_STEPS: Final = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    *(60 * m for m in (1, 2, 5, 10, 15, 30)),
    *(3600, 7200, 21600),
)


class Columns:
    """The columns of a timeline: which of a track's rows lie in each.

    A row also fills the columns up to the next one, unless the face was away in between (for longer than `_GAP` times
    the usual distance of rows).
    """

    def __init__(self, film: Film, track: Track) -> None:
        count = max(1, min(BINS, film.frames))
        self.edges = np.linspace(film.start_s, film.end_s, count + 1)
        self._first = np.searchsorted(track.times, self.edges[:-1])
        self._last = np.searchsorted(track.times, self.edges[1:])
        self._last[-1] = len(track.times)
        step = float(np.median(np.diff(track.times))) if len(track.times) > 1 else 0.0
        before = np.maximum(self._first - 1, 0)
        near = self.edges[:-1] - track.times[before]
        empty = self._first == self._last
        held = empty & (self._first > 0) & (near <= _GAP * step)
        self._first = np.where(held, before, self._first)
        self._last = np.where(held, before + 1, self._last)

    def means(self, values: np.ndarray) -> np.ndarray:
        """NxK values of the rows -> KxB means over those that are known, NaN where there are none."""
        known = np.isfinite(values)
        sums = self._sums(np.where(known, values, 0.0))
        counts = self._sums(known.astype(np.float64))
        return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
        return (total[self._last] - total[self._first]).T


def plot_course(film: Film, track: Track, expressions: Sequence[str], marks_s: Sequence[float] = ()) -> Figure:
    """State, expressions as bands (pale where uncertain), and action units as a heat map, over the film's time.

    Of low quality only the state is shown. `marks_s`: times that get a line with their number.
    """
    columns = Columns(film, track)
    known = [i for i in range(len(facs.ACTION_UNITS)) if np.isfinite(track.units[:, i]).any()]
    heights = [0.9, 0.9 * len(expressions), *([0.8 * len(known)] if known else [])]
    figure = new_figure(10.5, 1.0 + 0.22 * sum(heights))
    parts = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    extent = (film.start_s, film.end_s)

    present = track.states != STATES.index("low_quality")
    states = np.nan_to_num(columns.means(np.eye(len(STATES))[track.states]))
    _bands(parts[0], states, [_STATE_COLOURS[s] for s in STATES], extent, stack=True)
    parts[0].set_yticks([0.5], ["state"])
    strength = np.where(present, np.where(track.states == STATES.index("ok"), 1.0, _UNSURE), 0.0)
    shares = np.nan_to_num(columns.means(np.eye(len(expressions))[track.labels] * strength[:, None]))
    colours = [np.array(label_colour(name, list(expressions))) * _DARKER / 255 for name in expressions]
    _bands(parts[1], shares, colours, extent)
    parts[1].set_yticks(np.arange(len(expressions)) + 0.5, expressions)
    if known:
        means = columns.means(np.where(present[:, None], track.units, np.nan)[:, known])
        heat = parts[2].imshow(
            means,
            cmap="magma_r",
            vmin=0,
            vmax=1,
            aspect="auto",
            interpolation="none",
            extent=(*extent, len(known), 0),
        )
        names = [f"AU{facs.ACTION_UNITS[i]} {facs.ACTION_UNIT_NAMES[facs.ACTION_UNITS[i]]}" for i in known]
        parts[2].set_yticks(np.arange(len(known)) + 0.5, names)
        bar = figure.colorbar(heat, ax=parts, shrink=0.4, aspect=30, pad=0.01, anchor=(0, 0))
        bar.set_label("probability of the AU", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)
    for part in parts:
        part.tick_params(axis="y", length=0, labelsize=8)
        part.spines[:].set_visible(False)
        for number, time_s in enumerate(marks_s, start=1):
            part.axvline(time_s, color="#1b2330", linewidth=0.6, linestyle=(0, (2, 2)))
            if part is parts[0]:
                part.text(time_s, -0.1, str(number), fontsize=8, ha="center", va="bottom")
    parts[-1].set_xlim(extent)
    parts[-1].xaxis.set_major_locator(_time_ticks(extent))
    parts[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
    parts[-1].tick_params(axis="x", labelsize=8)
    parts[-1].set_xlabel("time in the film", fontsize=8)
    parts[0].legend(
        handles=[_swatch(_STATE_COLOURS[s], _STATE_NAMES[s]) for s in STATES],
        **{"loc": "lower right", "bbox_to_anchor": (1, 1.5 if marks_s else 1.0), "ncols": 3},
        **{"fontsize": 8, "frameon": False, "handlelength": 1, "borderaxespad": 0.2},
    )
    return figure


def plot_path(film: Film, track: Track, expressions: Sequence[str]) -> Figure:
    """Where the face's probabilities lie on the plane of valence and arousal, coloured by time."""
    places = valence_arousal_of(track, expressions)
    places[track.states == STATES.index("low_quality")] = np.nan
    path = Columns(film, track).means(places)
    middle = np.linspace(film.start_s, film.end_s, path.shape[1])
    figure = new_figure(5.6, 4.6)
    axes = figure.add_subplot()
    axes.axhline(0, color="#c3c9d1", linewidth=0.8)
    axes.axvline(0, color="#c3c9d1", linewidth=0.8)
    for name in expressions:
        x, y = VALENCE_AROUSAL[name]
        axes.plot(x, y, marker="o", markersize=4, color=GREY)
        side = "right" if x < _LEFT else "center"
        axes.annotate(name, (x, y), (0, 6), textcoords="offset points", fontsize=8, color=GREY, ha=side)
    axes.plot(*path, color="#9aa3af", linewidth=0.7)
    dots = axes.scatter(*path, 9, c=middle, cmap="viridis", linewidths=0)
    ticks = {"ticks": _time_ticks((middle[0], middle[-1])), "format": FuncFormatter(lambda value, _: clock(value))}
    bar = figure.colorbar(dots, shrink=0.7, pad=0.02, **ticks)
    bar.set_label("time in the film", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    axes.set(xlim=(-1, 1), ylim=(-0.6, 1), aspect="equal", xlabel="valence", ylabel="arousal")
    open_frame(axes)
    return figure


def clock(seconds: float) -> str:
    """Seconds as people say a time in a film: 7.5 s, 1:07, 1:02:03."""
    if seconds < 60:
        return f"{round(seconds, 2):g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _time_ticks(extent: tuple[float, float]) -> MultipleLocator:
    """At whole parts of a second, a minute or an hour."""
    length = max(extent[1] - extent[0], 1e-3) / _MOST_TICKS
    return MultipleLocator(next((step for step in _TICK_STEPS if step >= length), length))


def _bands(
    axes: Axes, shares: np.ndarray, colours: Sequence[object], extent: tuple[float, float], stack: bool = False
) -> None:
    """KxB shares as K rows of colour, each as strong as its share; `stack`: as one row, the largest share's colour."""
    image = np.empty((*shares.shape, 4))
    image[..., :3] = np.array([to_rgb(colour) for colour in colours])[:, None]
    image[..., 3] = shares.clip(0, 1)
    if stack:
        image = image[shares.argmax(axis=0), np.arange(shares.shape[1])][None]
        image[..., 3] = shares.sum(axis=0) > 0
    axes.imshow(image, aspect="auto", interpolation="none", extent=(*extent, len(image), 0))
    for row in range(1, len(image)):
        axes.axhline(row, color="#eef1f4", linewidth=0.6)


def _swatch(colour: str, name: str) -> Patch:
    return Patch(color=colour, label=name)
