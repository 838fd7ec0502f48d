"""The page of a recording: shares of time, each face's course with its peaks, its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from aue_crl_core.errors import ImageError
from aue_crl_core.facs import ACTION_UNIT_NAMES, ACTION_UNITS
from aue_crl_core.pages.page import Page, Table
from aue_crl_core.recordings.episodes import Episode
from aue_crl_core.recordings.recording import STATES, Film, Recording, Track
from aue_crl_core.recordings.thumbnails import thumbnail
from aue_crl_core.types import Image

SHOWN_FACES: Final = 12
"""Faces with figures, those with the most rows first; tables have all of them, up to `SHOWN_ROWS`."""
SHOWN_ROWS: Final = 300
SHOWN_IMAGES: Final = 60
_STRONGEST: Final = 3
_FOLDED_FROM: Final = 12

_MEANING: Final = (
    "An expression is what a face looks like, not what a person feels. State: ok; uncertain, where no expression was "
    "likely enough; low quality, where the face was too small, blurred or turned too far. Shares of expressions are of "
    "the rows whose state is ok."
)
WITHHELD: Final = (
    "The rows hold no face points, as those of run --private: faces are shown with --pixels only, where the film is "
    "found."
)
_COURSE: Final = (
    "State; expression in force, paler where uncertain; probability of each action unit (not its intensity, which the "
    "tables have where it is told). A dotted line with a number is a peak in the pictures."
)
_PATH: Final = (
    "Valence and arousal of the labels, not measured on the face: each label has its place from Russell and Mehrabian "
    "(1977), and a row lies at their mean, weighted by probability."
)
_EVENTS: Final = (
    "Read off these rows by the node's rules: an expression while it is in force and ok, an action unit from 0.6 up "
    "until it is below 0.4, both for 0.2 s at least. Raw rows flicker; those of --smoothed are steadier."
)


def recording_page(recording: Recording, events: Sequence[Episode], films: Mapping[str, Path]) -> Page:
    """Everything that is seen of a recording.

    `events`: of all its faces; `films`: source -> the file whose pixels may be shown.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    page = Page(f"Faces of {Path(recording.name).name}")
    page.text(_MEANING)
    if recording.private and not films:
        page.text(WITHHELD, soft=True)
    moving = [film for film in recording.films if film.moves]
    _table(page, _film_table(moving), "films")
    followed = [track for film in moving for track in film.tracks]
    if followed:
        page.heading("Shares of time")
        _table(page, _share_table(followed, recording, several=len(moving) > 1), "faces")
    shown = {id(track) for track in sorted(followed, key=lambda track: -len(track.times))[:SHOWN_FACES]}
    if len(followed) > len(shown):
        page.text(f"Of {len(followed)} faces the {len(shown)} with the most rows are drawn below.", soft=True)
    for film in moving:
        if not any(id(track) in shown for track in film.tracks):
            continue
        page.heading(Path(film.source).name or "film")
        for track in film.tracks:
            if id(track) in shown:
                own = [e for e in events if (e.source, e.face_id) == (track.source, track.face_id)]
                _face(page, recording, film, track, own, films.get(film.source))
    if moving:
        page.heading(f"Events ({len(events)})")
        page.text(_EVENTS, soft=True)
        _table(page, _event_table(events), "events")
    _images(page, recording, films)
    return page


def peaks(events: Sequence[Episode]) -> list[Episode]:
    """The highest episode of every expression, in the order of time."""
    best: dict[str, Episode] = {}
    for event in sorted(events, key=lambda event: -event.peak_probability):
        if event.expression:
            best.setdefault(event.expression, event)
    return sorted(best.values(), key=lambda event: event.peaked_s)


def _face(
    page: Page, recording: Recording, film: Film, track: Track, events: Sequence[Episode], file: Path | None
) -> None:
    from aue_crl_core.recordings import plots

    page.heading(f"{track.face_id}, {plots.clock(track.times[0])} to {plots.clock(track.times[-1])}", 3)
    found = peaks(events)
    if file is not None and found:
        try:
            page.pictures([(_at(track, event, file), f"{i}: {_peak(event)}") for i, event in enumerate(found, start=1)])
        except ImageError as error:
            page.text(f"No pictures: {error}", soft=True)
    marks = [event.peaked_s for event in found]
    name = f"{Path(film.source).stem}_{track.face_id}"
    page.figure(plots.plot_course(film, track, recording.expressions, marks), f"{name}_course", _COURSE)
    page.figure(plots.plot_path(film, track, recording.expressions), f"{name}_valence_arousal", _PATH)


def _at(track: Track, event: Episode, file: Path) -> Image:
    row = int(np.abs(track.times - event.peaked_s).argmin())
    return thumbnail(file, track.times[row], track.boxes[row])


def _peak(event: Episode) -> str:
    return f"{event.what} {event.peak_probability:.0%} at {event.peaked_s:.2f} s"


def _film_table(films: Sequence[Film]) -> Table:
    rows = tuple(
        (
            film.source,
            f"{film.start_s:.2f} to {film.end_s:.2f}",
            str(film.frames),
            "not told" if film.empty is None else f"{film.empty} ({film.empty / film.frames:.1%})",
            str(len(film.tracks)),
        )
        for film in films
    )
    return Table("Films", ("film", "seconds", "frames read", "without a face", "faces"), rows)


def _share_table(tracks: Sequence[Track], recording: Recording, several: bool) -> Table:
    header = ("face", "from, s", "to, s", "rows", "ok", "uncertain", "low quality", *recording.expressions)
    rows = []
    for track in tracks:
        ok = track.states == STATES.index("ok")
        states = np.bincount(track.states, minlength=len(STATES)) / len(track.states)
        labels = np.bincount(track.labels[ok], minlength=len(recording.expressions)) / max(1, ok.sum())
        shares = [f"{share:.1%}" for share in states] + [f"{share:.1%}" if ok.any() else "-" for share in labels]
        name = f"{Path(track.source).name} {track.face_id}" if several else track.face_id
        rows.append((name, f"{track.times[0]:.2f}", f"{track.times[-1]:.2f}", str(len(track.times)), *shares))
    return Table("Shares", header, tuple(rows))


def _event_table(events: Sequence[Episode]) -> Table:
    rows = tuple(
        (
            f"{event.face_id} {event.what}{_meaning(event)}",
            *(f"{value:.2f}" for value in (event.began_s, event.peaked_s, event.ended_s)),
            f"{event.ended_s - event.began_s:.2f}",
            f"{event.peak_probability:.0%}",
        )
        for event in events
    )
    return Table("Events", ("face and event", "began, s", "peaked, s", "ended, s", "lasted, s", "peak"), rows)


def _meaning(event: Episode) -> str:
    return f" {ACTION_UNIT_NAMES[event.action_unit]}" if event.action_unit else ""


def _images(page: Page, recording: Recording, films: Mapping[str, Path]) -> None:
    """Sources of one frame, each face with its expression and likeliest units."""
    images = [film for film in recording.films if not film.moves]
    if not images:
        return
    faces = [track for film in images for track in film.tracks]
    page.heading("Images")
    counts = Counter(recording.expressions[track.labels[0]] for track in faces)
    told = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    bare = sum(not film.tracks for film in images)
    page.text(f"Images: {len(images)}, {bare} of them without a face; faces: {len(faces)}{': ' if told else ''}{told}.")
    pictures = []
    for track in faces[:SHOWN_IMAGES]:
        if track.source in films:
            label = f"{recording.expressions[track.labels[0]]} {track.confidences[0]:.0%}"
            try:
                pictures.append((thumbnail(films[track.source], 0.0, track.boxes[0]), label))
            except ImageError as error:
                page.text(f"No picture: {error}", soft=True)
    if pictures:
        page.pictures(pictures)
    rows = tuple(
        (
            f"{Path(track.source).name} {track.face_id}",
            STATES[track.states[0]].replace("_", " "),
            recording.expressions[track.labels[0]],
            f"{track.confidences[0]:.0%}",
            ", ".join(f"AU{unit} {p:.0%}" for unit, p in _strongest(track)),
        )
        for track in faces
    )
    _table(
        page, Table("Images", ("image and face", "state", "expression", "probability", "action units"), rows), "faces"
    )


def _strongest(track: Track) -> list[tuple[int, float]]:
    known = [(unit, p) for unit, p in zip(ACTION_UNITS, track.units[0], strict=True) if np.isfinite(p)]
    return sorted(known, key=lambda item: -item[1])[:_STRONGEST]


def _table(page: Page, table: Table, what: str) -> None:
    """The table; folded where it is long, and cut where it is too long for a page."""
    count = len(table.rows)
    if not count:
        return
    cut = f", the first {SHOWN_ROWS} of them; the .csv files beside this page have all" if count > SHOWN_ROWS else ""
    shown = Table(table.title, table.header, table.rows[:SHOWN_ROWS])
    page.table(shown, f"{count} {what}{cut}" if count > _FOLDED_FROM else "")
