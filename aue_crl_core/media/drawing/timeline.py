"""The faces of a film over time, as a matplotlib figure: expressions as bands, action units as a heat map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from aue_crl_core import facs
from aue_crl_core.config import require
from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_core.types import FacePrediction, Frame

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    reason = import_failure(error, "matplotlib")
    raise MissingDependencyError("matplotlib", "demo", "drawing a film's faces", reason) from error

MOST_FACES: Final = 4
"""So many faces are drawn, those seen longest."""


def draw_timeline(results: Sequence[tuple[Frame, Sequence[FacePrediction]]]) -> Figure:
    """Two panels a face, against the film's seconds; where the face was not seen, they are blank.

    Raises:
        ConfigError: no face at all, images, or frames of several films.
    """
    cameras = {frame.camera for frame, _ in results}
    require(len(cameras) == 1 and "" not in cameras, "results", "be of one film or camera", sorted(cameras) or "none")
    seen = Counter(face.face_id for _, faces in results for face in faces)
    require(bool(seen), "faces in the results", "be at least 1", 0)
    names = next(tuple(faces[0].probabilities) for _, faces in results if faces)
    ids = [face_id for face_id, _ in seen.most_common(MOST_FACES)]
    times = np.array([frame.time_s for frame, _ in results])
    figure = Figure(figsize=(11, 0.6 + 4.2 * len(ids)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(2 * len(ids), 1, sharex=True, height_ratios=[2, 3] * len(ids)))
    for face_id, bands, heat in zip(ids, panels[::2], panels[1::2], strict=True):
        expressions = np.full((len(names), len(times)), np.nan)
        units = np.full((len(facs.ACTION_UNITS), len(times)), np.nan)
        for column, (_, faces) in enumerate(results):
            for face in faces:
                if face.face_id == face_id:
                    expressions[:, column] = [face.probabilities[name] for name in names]
                    units[:, column] = [face.action_units[unit] for unit in facs.ACTION_UNITS]
        bands.stackplot(times, expressions, labels=names, step="mid")
        bands.set(ylim=(0, 1), ylabel="probability", title=f"face {face_id}: {seen[face_id]} of {len(times)} frames")
        bands.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, frameon=False)
        drawn = heat.pcolormesh(times, np.arange(len(units)), units, vmin=0, vmax=1, cmap="viridis", shading="nearest")
        heat.set_yticks(np.arange(len(units)), [f"AU{unit}" for unit in facs.ACTION_UNITS], fontsize=7)
        heat.invert_yaxis()
        figure.colorbar(drawn, ax=heat, label="probability")
    panels[-1].set_xlabel("seconds")
    return figure
