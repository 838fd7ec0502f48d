"""Your own data: `ROOT/<split>/<class>/*` or `ROOT/<class>/*` (then all of it is `train`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aue_crl_core.data.index import Record
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS, ROS4HRI_EXPRESSIONS
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES

FOLDER_NAMES: Final = {
    **{name: name for name in BASIC_EXPRESSIONS},
    **{spelling: name for name, spelling in ROS4HRI_EXPRESSIONS.items()},
}
"""Folder name, lower case -> expression: `happiness` or `happy`, `anger` or `angry`, and so on."""


def read(root: Path) -> Iterator[Record]:
    """One record per image below a folder that is named after a basic expression (any case; see `FOLDER_NAMES`).

    Images in folders beside those that have another name are given as unusable, with that reason.

    Raises:
        DatasetError: no folder is named after an expression.
    """
    classes = {p for p in root.rglob("*") if p.is_dir() and p.name.lower() in FOLDER_NAMES}
    if not classes:
        raise DatasetError(f"no folder below {root} is named after an expression: {', '.join(FOLDER_NAMES)}")
    parents = {folder.parent for folder in classes}
    others = {p for parent in parents for p in parent.iterdir() if p.is_dir()} - parents
    for folder in sorted(classes | others):
        split = folder.parent.name if folder.parent != root else "train"
        expression = FOLDER_NAMES.get(folder.name.lower())
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            image = path.relative_to(root).as_posix()
            if expression is None:
                yield Record(image, split, usable=False, reason=f"folder {folder.name!r} is no basic expression")
            else:
                yield Record(image, split, label=BASIC_EXPRESSIONS.index(expression))
