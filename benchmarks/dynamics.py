"""Faces over time: what a neutral second takes off, how calm the curves are, how soon an expression is told.

    python benchmarks/dynamics.py --data raf_ident.parquet --split test

Films are made of people of whom there are several photographs (an index with identities: `research/identities.py`), at
30 Hz, each frame as a hand-held camera sees it: moved, turned, scaled and lit a little, with noise, as a JPEG. The
photographs' faces are followed by the analyzer, and its predictions go through `FilmCourse` as those of a film.

- Rest: a second of one neutral photograph, then the person's other neutral photographs. False are action units of at
  least 0.5 there, without and with the first second taken for rest; true ones, on the person's other expressions, count
  what is lost.
- Flicker: the mean change of a probability from frame to frame while nothing happens, raw and smoothed.
- Onset: a neutral photograph turns into an expressive one within a quarter of a second; the time from the first frame
  whose own reading shows it until the event is told, for expressions and for action units.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.config import Preprocessing
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.dynamics.course import FilmCourse
from aue_crl_core.dynamics.events import EventConfig
from aue_crl_core.dynamics.readings import EventPhase
from aue_crl_core.dynamics.smoothing import TemporalConfig
from aue_crl_core.faces.crop import cut, map_from_points
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FacePrediction, Frame, Image

RATE: Final = 30
_REST, _TURN, _HOLD, _OTHER = RATE, RATE // 4, RATE, 10
_ON: Final = 0.5
_SIDE: Final = 320
_FRAMED: Final = Preprocessing(input_size=_SIDE, margin=0.9, lift=0.0, align=True)
"""How a face lies in a film's frame."""

Film = list[FacePrediction | None]
"""The face of each frame; None where it was not found."""


@dataclass
class Person:
    """Films of one person: `rest` at rest, `others` at rest in other photographs, `turns` from rest to something."""

    rest: Film
    others: list[Film] = field(default_factory=list)
    turns: list[Film] = field(default_factory=list)


def photographs(index: DatasetIndex) -> dict[str, dict[bool, list[Record]]]:
    """Subject -> whether neutral -> the photographs, of people with a neutral one and any other."""
    people: dict[str, dict[bool, list[Record]]] = defaultdict(lambda: {True: [], False: []})
    for record in index.records:
        if record.learnable and record.subject and record.points is not None:
            people[record.subject][index.classes[record.label] == "neutral"].append(record)
    return {name: of for name, of in sorted(people.items()) if of[True] and len(of[True]) + len(of[False]) > 1}


def frontal(index: DatasetIndex, record: Record) -> Image:
    """The photograph, so that its face stands upright in the middle of a film's frame."""
    points = np.asarray(record.points, np.float32)
    return cut(load_image(index.path(record)), map_from_points(points, _FRAMED), _SIDE)


def filmed(pictures: Sequence[Image], rng: np.random.Generator) -> Iterator[Image]:
    """Each picture as a hand-held camera sees it in turn: a slow wander of place, size, roll and light, noise, JPEG."""
    wander = np.zeros(5)
    for picture in pictures:
        wander = 0.95 * wander + rng.normal(0, 1, 5)
        right, down, turn, size, light = wander * (0.6, 0.6, 0.4, 0.003, 0.01)
        move = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), turn, 1 + size)
        move[:, 2] += right, down
        seen = cv2.warpAffine(picture, move, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE) * (1 + light)
        noisy = np.clip(seen + rng.normal(0, 3, seen.shape), 0, 255).astype(np.uint8)
        yield cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR)


def read(analyzer: FaceAnalyzer, images: Iterator[Image]) -> Film:
    """The face of each frame, followed."""
    film: Film = []
    for i, image in enumerate(images):
        found = analyzer.process([Frame(image, index=i, time_s=i / RATE, camera="film")])[0]
        film.append(found[0] if found else None)
    analyzer.forget("film")
    return film


def people(analyzer: FaceAnalyzer, index: DatasetIndex, most: int) -> Iterator[Person]:
    """The films of up to `most` people."""
    for number, of in enumerate(list(photographs(index).values())[:most]):
        rng = np.random.default_rng(number)
        rest, *others = [frontal(index, record) for record in of[True][:4]]
        person = Person(read(analyzer, filmed([rest] * _REST, rng)))
        person.others = [read(analyzer, filmed([other] * _OTHER, rng)) for other in others]
        for record in of[False][:2]:
            shown = frontal(index, record)
            between = [cv2.addWeighted(rest, 1 - i / _TURN, shown, i / _TURN, 0) for i in range(1, _TURN)]
            film = read(analyzer, filmed([rest] * (_REST // 2) + between + [shown] * _HOLD, rng))
            person.turns.append(film)
        yield person


def units(film: Film) -> NDArray[np.float64]:
    """Frames x action units, of the frames with a face."""
    return np.array([list(face.action_units.values()) for face in film if face is not None])


def through(film: Film, course: FilmCourse, start: int = 0) -> Iterator[tuple[FacePrediction, list[Any]]]:
    """The steady readings of a film's faces, with the events of each, as of one face from frame `start` on."""
    blank = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    for i, face in enumerate(film, start):
        if face is not None:
            readings, events = course.update(Frame(blank, index=i, time_s=i / RATE), [face])
            yield readings[0].prediction, events


def at_rest(some: Sequence[Person]) -> dict[str, float]:
    """False action units a neutral face and true ones an expressive face, without and with a second of rest."""
    counts: dict[str, list[float]] = defaultdict(list)
    none = TemporalConfig(smoothing_s=0)
    for person in some:
        shown = [film[-_OTHER:] for film in person.turns]
        for name, rest_s in (("plain", None), ("rest", _REST / RATE - 0.1)):
            for kind, films in (("false", person.others), ("true", shown)):
                for film in films:
                    course = FilmCourse(none, neutral_s=rest_s)
                    list(through(person.rest, course))
                    named = [f and _as(f, person.rest) for f in film]
                    got = [face for face, _ in through(named, course, _REST)]
                    if got:
                        counts[f"{kind}, {name}"].append(float((units(got) >= _ON).sum(axis=1).mean()))
    return {name: float(np.mean(values)) for name, values in counts.items()}


def _as(face: FacePrediction, film: Film) -> FacePrediction:
    """The face under the id of the film's."""
    return replace(face, face_id=next((f.face_id for f in film if f is not None), face.face_id))


def flicker(some: Sequence[Person], temporal: TemporalConfig) -> tuple[float, float]:
    """Mean change of an action unit's probability from frame to frame, raw and smoothed."""
    raw, calm = [], []
    for person in some:
        steady = [face for face, _ in through(person.rest, FilmCourse(temporal))]
        raw.append(np.abs(np.diff(units(person.rest), axis=0)).mean())
        calm.append(np.abs(np.diff(units(steady), axis=0)).mean())
    return float(np.nanmean(raw)), float(np.nanmean(calm))


def onsets(some: Sequence[Person], temporal: TemporalConfig, events: EventConfig) -> dict[str, list[float]]:
    """For expressions and action units: seconds from the first frame that shows it and goes on showing it for a third
    of a second until it is told; infinite where it is not."""
    delays: dict[str, list[float]] = {"expression": [], "action unit": []}
    for person in some:
        for film in person.turns:
            told: dict[str | int, int] = {}
            for i, (_, news) in enumerate(through(film, FilmCourse(temporal, events))):
                for event in news:
                    if event.phase == EventPhase.BEGAN:
                        told.setdefault(event.expression or event.action_unit, i)
            faces = [face for face in film if face is not None]
            for what, began in _shown(faces, events.unit_on).items():
                kind = "expression" if isinstance(what, str) else "action unit"
                late = told[what] - began if what in told else np.inf
                delays[kind].append(late / RATE)
    return delays


def _shown(faces: Sequence[FacePrediction], unit_on: float) -> dict[str | int, int]:
    """What the raw readings begin to show after the first half second, and go on showing: frame of each."""
    last = RATE // 3
    found: dict[str | int, int] = {}
    for i in range(_REST // 2, len(faces) - last):
        now, before = faces[i : i + last], faces[:i]
        name = faces[i].expression
        if all(f.expression == name for f in now) and all(f.expression != name for f in before):
            found.setdefault(name, i)
        for unit in faces[i].action_units:
            on = all(f.action_units[unit] >= unit_on for f in now)
            if on and all(f.action_units[unit] < unit_on for f in before):
                found.setdefault(unit, i)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--most", type=int, default=1_000_000, help="so many people")
    chosen: Any = parser.parse_args()
    cv2.setNumThreads(1)
    analyzer = FaceAnalyzer.load(chosen.weights, threads=1)
    some = list(people(analyzer, DatasetIndex.read(chosen.data).select(chosen.split), chosen.most))
    report(some, TemporalConfig(), EventConfig())


def report(some: Sequence[Person], temporal: TemporalConfig, events: EventConfig) -> None:
    """The three measurements, a line each."""
    rest = at_rest(some)
    less = {kind: 1 - rest[f"{kind}, rest"] / rest[f"{kind}, plain"] for kind in ("false", "true")}
    print(
        f"{len(some)} people, {sum(len(p.others) for p in some)} other neutral photographs, "
        f"{sum(len(p.turns) for p in some)} others"
    )
    print(
        f"action units of 0.5 and more a face: neutral {rest['false, plain']:.2f}, with a second of rest "
        f"{rest['false, rest']:.2f} ({less['false']:.0%} fewer); expressive {rest['true, plain']:.2f}, "
        f"{rest['true, rest']:.2f} ({less['true']:.0%} fewer)"
    )
    raw, calm = flicker(some, temporal)
    print(f"mean change a frame: {raw:.4f} raw, {calm:.4f} smoothed ({raw / calm:.1f} times less)")
    for kind, delays in onsets(some, temporal, events).items():
        late = np.array(delays)
        seen = late[np.isfinite(late)]
        print(
            f"onset of an {kind}: {len(seen)} of {len(late)} told, after {1e3 * np.median(seen):.0f} ms (median), "
            f"{1e3 * np.percentile(seen, 90):.0f} ms (90 %)"
        )


if __name__ == "__main__":
    main()
