"""Your own data: `ROOT/<split>/<class>/*` or `ROOT/<class>/*` (then all of it is `train`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aue_crl_core.data.index import Record
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def read(root: Path) -> Iterator[Record]:
    """One record per image below a folder that is named after a basic expression.

    Raises:
        DatasetError: no folder is named after an expression.
    """
    folders = sorted(p for p in root.rglob("*") if p.is_dir() and p.name.lower() in BASIC_EXPRESSIONS)
    if not folders:
        raise DatasetError(f"no folder below {root} is named after an expression: {', '.join(BASIC_EXPRESSIONS)}")
    for folder in folders:
        split = folder.parent.name if folder.parent != root else "train"
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                label = BASIC_EXPRESSIONS.index(folder.name.lower())
                yield Record(path.relative_to(root).as_posix(), split, label=label)
