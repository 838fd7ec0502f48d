"""ROOT is one folder too high or too deep: what lies there, and where the dataset lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NAMED: Final = 5


def found_hint(root: Path, *marks: str) -> str:
    """What to add to the message about a dataset that is not at `root`: what lies there, and where one of `marks`
    (paths relative to a right ROOT) is found, up to two folders above or below."""
    place = next((p for p in _around(root) if any(os.path.exists(p / mark) for mark in marks)), None)
    there = "" if place is None else f"; it lies in {place}: give that as ROOT"
    return f"; found in {root}: {listing(root)}{there}"


def listing(folder: Path) -> str:
    """The content of a folder in words: its folders by name, and how many files."""
    if not folder.is_dir():
        return "no such folder"
    content = sorted(folder.iterdir())
    folders = [path.name for path in content if path.is_dir()]
    files = [path.name for path in content if not path.is_dir()]
    parts = [_named("folder", folders), _named("file", files)]
    return " and ".join(part for part in parts if part) or "nothing"


def _named(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"the {what}{'s' if len(names) > 1 else ''} {', '.join(names[:_NAMED])}{more}"


def _around(root: Path) -> Iterator[Path]:
    """The folders up to two above and below."""
    yield from root.absolute().parents[:2]
    for depth in ("*", "*/*"):
        yield from sorted(path for path in root.glob(depth) if path.is_dir())
