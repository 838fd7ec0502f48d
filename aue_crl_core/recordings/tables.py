"""Tidy tables of a recording: a row a face and frame, a row an event, and the first with OpenFace's column names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from aue_crl_core import facs
from aue_crl_core.circumplex import valence_arousal
from aue_crl_core.media.writing.layout import TableLayout
from aue_crl_core.recordings.episodes import Episode
from aue_crl_core.recordings.recording import STATES, Recording, Track

PRESENT: Final = 0.5

EPISODE_COLUMNS: Final = (
    *("source", "face_id", "kind", "expression", "action_unit"),
    *("began_s", "peaked_s", "ended_s", "duration_s", "peak_probability"),
)


def valence_arousal_of(track: Track, expressions: Sequence[str]) -> np.ndarray:
    """Nx2 float64 in [-1, 1]: see `circumplex`."""
    return np.array([valence_arousal(dict(zip(expressions, row, strict=True))) for row in track.probabilities])


def faces_csv(recording: Recording) -> str:
    """`TableLayout.csv_columns` without the points, and `valence, arousal`."""
    columns = TableLayout(recording.expressions, points=False, intensities=recording.intensity_units).csv_columns()
    return _csv((*columns, "valence", "arousal"), _face_rows(recording))


def _face_rows(recording: Recording) -> Iterable[Sequence[Any]]:
    told = [facs.ACTION_UNITS.index(unit) for unit in recording.intensity_units]
    for track in recording.tracks:
        places = valence_arousal_of(track, recording.expressions)
        for i, frame in enumerate(track.frames):
            yield (
                *(track.source, frame, _number(track.times[i]), track.face_id),
                *map(_number, track.boxes[i]),
                recording.expressions[track.labels[i]],
                _number(track.confidences[i]),
                STATES[track.states[i]],
                *map(_number, (*track.probabilities[i], *track.units[i], *track.intensities[i, told], *places[i])),
            )


def openface_csv(recording: Recording) -> str:
    """Columns as OpenFace 2 names them, so that scripts made for it read them; the meaning is ours.

    `AU12_c` is 1 where the probability is 0.5 and more. `AU12_r` is the intensity, 0 to 5 as OpenFace's, but not on its
    scale; it is empty where the rows tell none. `frame` counts from 1; `confidence` and `success` are 0 for a face
    of low quality, else 1. AU14, AU28 and AU45 are not ours, AU16 and AU24 not OpenFace's. `source` comes last.
    """
    names = [f"AU{unit:02d}" for unit in facs.ACTION_UNITS]
    columns = (
        *("frame", "face_id", "timestamp", "confidence", "success"),
        *(f"{name}_r" for name in names),
        *(f"{name}_c" for name in names),
        "source",
    )
    return _csv(columns, _openface_rows(recording))


def _openface_rows(recording: Recording) -> Iterable[Sequence[Any]]:
    for track in recording.tracks:
        for i, frame in enumerate(track.frames):
            seen = int(STATES[track.states[i]] != "low_quality")
            yield (
                *(frame + 1, track.face_id, _number(track.times[i]), seen, seen),
                *map(_number, track.intensities[i]),
                *("" if np.isnan(p) else int(p >= PRESENT) for p in track.units[i]),
                track.source,
            )


def episodes_csv(found: Iterable[Episode]) -> str:
    """`EPISODE_COLUMNS`: one row an event, from onset to offset."""
    rows = (
        (
            *(e.source, e.face_id, "expression" if e.expression else "action_unit"),
            *(e.expression, e.action_unit or ""),
            *map(_number, (e.began_s, e.peaked_s, e.ended_s, e.ended_s - e.began_s, e.peak_probability)),
        )
        for e in found
    )
    return _csv(EPISODE_COLUMNS, rows)


def _number(value: float) -> float | str:
    return "" if np.isnan(value) else round(float(value), 4)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
