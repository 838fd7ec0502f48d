"""Rows of results, sorted by film and face: what a report is made of."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from aue_crl_core import facs
from aue_crl_core.errors import DatasetError, brief
from aue_crl_core.types import PredictionState

STATES: Final[tuple[str, ...]] = get_args(PredictionState)
_NO_ROW: Final = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""What reading the fields of a record raises where they are missing or of another kind."""
_HEAD: Final = 9  # frame, time, box, label, confidence, state


@dataclass(frozen=True)
class Track:
    """One face of one film, N rows in the order of time.

    `frames` N int64; `times` N float64, seconds; `boxes` Nx4 float64, x y w h in pixels; `labels` N int64, places in
    `Recording.expressions`; `states` N int64, places in `STATES`; `confidences` N, `probabilities` NxC and `units`
    Nx17 float64 in [0, 1], `intensities` Nx17 float64 in [0, 5], the last two NaN where nothing is known.
    """

    source: str
    face_id: str
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    confidences: NDArray[np.float64]
    states: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    units: NDArray[np.float64]
    intensities: NDArray[np.float64]


@dataclass(frozen=True)
class Film:
    """One source: a film, a camera, or an image (then one frame).

    `frames` that were read, `empty` those without a face (None where the rows do not tell of such), from `start_s` to
    `end_s` seconds.
    """

    source: str
    tracks: tuple[Track, ...]
    frames: int
    empty: int | None
    start_s: float
    end_s: float

    @property
    def moves(self) -> bool:
        """Whether there is a course of time to show."""
        return self.frames > 1 and self.end_s > self.start_s


@dataclass(frozen=True)
class Recording:
    """All films of a table or bag; `expressions` the model's classes in label order; `private`: no face has points, as
    in the rows of `aue-crl run --private`."""

    name: str
    expressions: tuple[str, ...]
    films: tuple[Film, ...]
    private: bool

    @property
    def tracks(self) -> list[Track]:
        """Of all films."""
        return [track for film in self.films for track in film.tracks]

    @property
    def intensity_units(self) -> tuple[int, ...]:
        """FACS codes of the action units of which some row tells the intensity."""
        told = [~np.isnan(track.intensities).all(axis=0) for track in self.tracks]
        return tuple(unit for i, unit in enumerate(facs.ACTION_UNITS) if any(known[i] for known in told))


@dataclass
class _Source:
    faces: dict[str, array[float]] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)
    with_face: set[int] = field(default_factory=set)
    told: bool = False


class RecordingBuilder:
    """Takes records (`FacePrediction.as_record`; without a `face_id`: a frame without a face) as they come.

    Of a record's `landmarks` it matters only that they are there.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._expressions: tuple[str, ...] = ()
        self._sources: dict[str, _Source] = {}
        self._points = False

    def add(self, record: Mapping[str, Any], where: str) -> None:
        """One row; `where` names it in messages.

        Raises:
            DatasetError: a field is missing or of another kind, or the classes are not those of the rows before.
        """
        try:
            source, frame, time_s = str(record["source"]), int(record["frame"]), float(record["time_s"])
            face_id = record.get("face_id")
            row = array("d", [frame, time_s, *(self._row(record) if face_id else ())])
        except _NO_ROW as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(f"{where} must be a row as aue-crl run writes it, got: {reason}") from error
        known = row[: -2 * len(facs.ACTION_UNITS)] if face_id else row
        if not np.isfinite(known).all():
            raise DatasetError(f"{where} must have finite numbers, got {brief(dict(record))}")
        film = self._sources.setdefault(source, _Source())
        film.seen[frame] = time_s
        if face_id:
            film.with_face.add(frame)
            self._points |= "landmarks" in record
            film.faces.setdefault(str(face_id), array("d")).extend(row)
        else:
            film.told = True

    def add_frames(self, source: str, frames: Sequence[int], times_s: Sequence[float]) -> None:
        """Which frames of a source were read, with a face or without.

        Raises:
            ValueError: the times are not finite, or not as many as the frames.
        """
        if not np.isfinite(times_s).all():
            raise ValueError("times that are not finite")
        film = self._sources.setdefault(source, _Source())
        film.seen.update(zip(map(int, frames), map(float, times_s), strict=True))
        film.told = True

    def build(self) -> Recording:
        """What was added.

        Raises:
            DatasetError: no frame at all.
        """
        if not self._sources:
            raise DatasetError(f"{self._name} has no row: no frame was read, or no face was found in any")
        films = tuple(self._film(name, source) for name, source in self._sources.items())
        private = not self._points and any(film.tracks for film in films)
        return Recording(self._name, self._expressions or facs.BASIC_EXPRESSIONS, films, private)

    def _row(self, record: Mapping[str, Any]) -> list[float]:
        named = {str(name): float(p) for name, p in record["probabilities"].items()}
        self._expressions = self._expressions or tuple(named)
        if set(named) != set(self._expressions):
            raise ValueError(f"the classes {', '.join(named)} after {', '.join(self._expressions)}")
        x, y, w, h = map(float, record["box"])
        units, intensities = record["action_units"], record.get("intensities") or {}
        return [
            *(x, y, w, h),
            self._expressions.index(record["expression"]),
            float(record["confidence"]),
            STATES.index(record["state"]),
            *(named[name] for name in self._expressions),
            *(float(told.get(str(u), math.nan)) for told in (units, intensities) for u in facs.ACTION_UNITS),
        ]

    def _film(self, name: str, source: _Source) -> Film:
        count = len(facs.ACTION_UNITS)
        width = _HEAD + len(self._expressions) + 2 * count
        tracks = []
        for face_id, values in source.faces.items():
            table = np.array(values).reshape(-1, width)
            table = table[np.argsort(table[:, 1], kind="stable")]
            tracks.append(
                Track(
                    source=name,
                    face_id=face_id,
                    frames=table[:, 0].astype(np.int64),
                    times=table[:, 1],
                    boxes=table[:, 2:6],
                    labels=table[:, 6].astype(np.int64),
                    confidences=table[:, 7],
                    states=table[:, 8].astype(np.int64),
                    probabilities=table[:, _HEAD : -2 * count],
                    units=table[:, -2 * count : -count],
                    intensities=table[:, -count:],
                )
            )
        tracks.sort(key=lambda track: track.times[0])
        empty = len(source.seen) - len(source.with_face) if source.told else None
        return Film(name, tuple(tracks), len(source.seen), empty, min(source.seen.values()), max(source.seen.values()))
