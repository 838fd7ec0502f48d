"""A recording's report as files: the page, the tidy tables and ELAN's files beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError
from aue_crl_core.pages.page import write_whole
from aue_crl_core.recordings.elan import NOTE, eaf
from aue_crl_core.recordings.episodes import episodes
from aue_crl_core.recordings.page import recording_page
from aue_crl_core.recordings.recording import Film, Recording
from aue_crl_core.recordings.tables import episodes_csv, faces_csv, openface_csv

_HEAD: Final = 4096


def write_report(
    recording: Recording, path: Path, *, film: Path | None = None, pixels: bool | None = None, openface: bool = False
) -> list[Path]:
    """Write `NAME.html`, `NAME.faces.csv`, `NAME.events.csv` and, of every film, `NAME.eaf` (`NAME.FILM.eaf`).

    Args:
        recording: what was read.
        path: the page, `NAME.html`; missing folders are made, files of an older report are replaced, others are not.
        film: where the one film of the recording is; None: where its rows say, as seen from here or from their table.
        pixels: show faces at peaks, of the films and images that are there; None: not of a private recording.
        openface: write `NAME.openface.csv` too.

    Returns:
        The files, the page first.

    Raises:
        ConfigError: another suffix than .html, `film` of a recording that has several, or a file beside the page that
            no report wrote, as it is: the rows themselves, the events of `run --events`, an annotation changed in ELAN.
        MissingDependencyError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    require(path.suffix.lower() == ".html", "--output", "end in .html", str(path))
    files = _files(recording, film)
    shown = not recording.private if pixels is None else pixels
    events = [event for track in recording.tracks for event in episodes(track, recording.expressions)]
    texts = {
        path: recording_page(recording, events, files if shown else {}).html(),
        path.with_suffix(".faces.csv"): faces_csv(recording),
        path.with_suffix(".events.csv"): episodes_csv(events),
    }
    if openface:
        texts[path.with_suffix(".openface.csv")] = openface_csv(recording)
    moving = [film for film in recording.films if film.moves]
    for name, shown in zip(_names(moving), moving, strict=True):
        inside = [event for event in events if event.source == shown.source]
        texts[path.with_suffix(f"{name}.eaf")] = eaf(inside, files.get(shown.source))
    for file, text in texts.items():
        if file != path and not _may_replace(file, text):
            raise ConfigError(
                f"--output {path} would replace {file}, which no report wrote as it is; name another page"
            )
    for file, text in texts.items():
        write_whole(file, text)
    return list(texts)


def _may_replace(file: Path, text: str) -> bool:
    """Whether a file is not there, or was written by a report: a table's last columns and ELAN's note tell."""
    if not file.exists():
        return True
    with contextlib.suppress(OSError, UnicodeDecodeError), file.open(encoding="utf-8") as there:
        if file.suffix == ".eaf":
            return NOTE in there.read(_HEAD)
        first, wanted = there.readline(), text.splitlines()[0]
        return first.rstrip().split(",")[-2:] == wanted.split(",")[-2:]
    return False


def _files(recording: Recording, film: Path | None) -> dict[str, Path]:
    if film is not None:
        require(len(recording.films) == 1, "--film", "be given for the rows of one film", len(recording.films))
        require(film.is_file(), "--film", "be a file", str(film))
        return {recording.films[0].source: film}
    there = Path(recording.name).parent
    places = [(film.source, folder / film.source) for film in recording.films for folder in (there, Path())]
    return {source: place for source, place in places if place.is_file()}


def _names(films: Sequence[Film]) -> Iterator[str]:
    """What tells the films' files apart: nothing for one, else the name, numbered where it was there before."""
    seen: set[str] = set()
    for film in films:
        name = stem = f".{Path(film.source).stem}" if len(films) > 1 else ""
        number = 1
        while name in seen:
            number += 1
            name = f"{stem}_{number}"
        seen.add(name)
        yield name
