"""What commands print, drawn with rich: full tables on a terminal, plain long lines in a pipe or a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aue_crl_core.facs import ACTION_UNIT_NAMES
from aue_crl_core.types import FacePrediction

_PIPE_WIDTH: Final = 200
_NARROW, _WIDE = 120, 150
_PRESENT: Final = 0.5
_STYLES: Final = {
    "surprise": "cyan",
    "fear": "magenta",
    "disgust": "green",
    "happiness": "yellow",
    "sadness": "blue",
    "anger": "red",
}


def out() -> Console:
    """For results: standard output."""
    return _console(stderr=False)


def err() -> Console:
    """For progress and complaints: standard error."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    """A pipe is one although FORCE_COLOR is set, as notebooks do: they cannot take a progress bar's lines back."""
    there = (sys.stderr if stderr else sys.stdout).isatty()
    width, terminal = (None, None) if there else (_PIPE_WIDTH, False)
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width, force_terminal=terminal)


def plain_table(*columns: str, title: str | None = None) -> Table:
    """A table with one rule under its header; columns that begin with `>` are right-aligned."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def style_of(expression: str) -> str:
    """The colour of an expression on a terminal, from its own palette so that it suits dark and light ones."""
    return _STYLES.get(expression, "default")


def bar(value: float, console: Console) -> str:
    """`value` in [0, 1] as a bar of characters that this console can show."""
    width = 10 if console.width < _NARROW else 20
    full, empty = ("#", ".") if console.options.ascii_only else ("━", " ")
    filled = round(min(max(value, 0.0), 1.0) * width)
    return full * filled + empty * (width - filled)


def expression_text(face: FacePrediction) -> Text:
    """The expression in its colour; dimmed and marked where it is not to be trusted."""
    if face.state == "low_quality":
        return Text(f"{face.expression} ({face.caveat})", style="dim")
    doubt = "?" if face.state == "uncertain" else ""
    return Text(face.expression + doubt, style=style_of(face.expression))


def strongest_units(face: FacePrediction, count: int) -> list[tuple[int, float]]:
    """FACS code and probability of the likeliest action units, likeliest first."""
    return sorted(face.action_units.items(), key=lambda item: -item[1])[:count]


def _units_text(face: FacePrediction, count: int, separator: str) -> Text:
    text = Text()
    for unit, value in strongest_units(face, count):
        style = "default" if value >= _PRESENT else "dim"
        text.append(separator if text else "").append(f"AU{unit} {ACTION_UNIT_NAMES[unit]} {value:.0%}", style=style)
    return text


def face_table(rows: Iterable[tuple[str, Sequence[FacePrediction]]], console: Console) -> Table:
    """One row a face: its image (rows give the path), id, box (its size only, where the console is narrow), expression
    and the likeliest action units.
    """
    narrow, units = console.width < _NARROW, 3 if console.width >= _WIDE else 2
    header = ">size px" if narrow else ">box x y w h"
    table = plain_table("image", "face", header, "expression", "strongest action units")
    for source, faces in rows:
        name = Path(source).name
        for face in faces:
            x, y, w, h = (f"{value:.0f}" for value in face.box.as_list())
            where = f"{w}x{h}" if narrow else f"{x} {y} {w} {h}"
            expression = expression_text(face).append(f" {face.confidence:.0%}")
            strongest = _units_text(face, units, "\n" if narrow else ", ")
            table.add_row(name, face.face_id, where, expression, strongest)
            name = ""
        if not faces:
            table.add_row(name, "-", "", Text("no face found", style="dim"), "")
    return table


def face_line(face: FacePrediction) -> Text:
    """A face in one line."""
    x, y, w, h = face.box.as_list()
    text = Text(f"Face {face.face_id}, {w:.0f}x{h:.0f} px at ({x:.0f}, {y:.0f}): ")
    return text.append_text(expression_text(face)).append(f", {face.confidence:.0%} sure")


def face_details(face: FacePrediction, console: Console) -> Table:
    """All expressions of one face beside as many of its likeliest action units, with bars."""
    units = strongest_units(face, len(face.probabilities))
    table = plain_table("expression", "", ">p", *(("action unit", "", ">p") if units else ()))
    for row, (name, p) in enumerate(face.probabilities.items()):
        style = style_of(name) if name == face.expression else "dim"
        cells = [Text(text, style=style) for text in (name, bar(p, console), f"{p:.0%}")]
        for unit, value in units[row : row + 1]:
            marked = "default" if value >= _PRESENT else "dim"
            texts = (f"AU{unit:<3d}{ACTION_UNIT_NAMES[unit]}", bar(value, console), f"{value:.0%}")
            cells += [Text(text, style=marked) for text in texts]
        table.add_row(*cells)
    return table
