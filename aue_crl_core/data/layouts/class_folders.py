"""Your own data: `ROOT/<split>/<class>/*` or `ROOT/<class>/*` (then all of it is `train`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aue_crl_core.data.index import Record
from aue_crl_core.data.names import EXPRESSIONS, expression_of, split_of
from aue_crl_core.data.roots import listing
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES


def read(root: Path, unsplit: str = "train") -> Iterator[Record]:
    """One record per image below a folder that is named after a basic expression (see `names.EXPRESSIONS`).

    The folder that holds the class folders names the split: one of `names.SPLITS`, else its own name. Where that is
    ROOT, the split is `unsplit`, or what ROOT itself is called if that is one of `names.SPLITS`. Images in folders
    beside the class folders are given as unusable, with that reason.

    Raises:
        DatasetError: no folder is named after an expression, or ROOT itself is.
    """
    classes = folders(root)
    if not classes:
        if expression_of(root.name) is not None:
            raise DatasetError(
                f"ROOT must be the folder that holds the folders of the classes, got one of them: {root}"
            )
        raise DatasetError(
            f"no folder below {root} is named after an expression; expected one of {', '.join(EXPRESSIONS)} (or "
            f"happy, angry, ...), found {listing(root)}"
        )
    parents = {folder.parent for folder in classes}
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
        folder = next((p for p in path.parents if p.parent in parents and p not in parents), None)
        if folder is None:
            continue
        image, expression = path.relative_to(root).as_posix(), expression_of(folder.name)
        split = split_of(folder.parent.name) or (unsplit if folder.parent == root else folder.parent.name)
        if expression is None:
            yield Record(image, split, usable=False, reason=f"folder {folder.name!r} is no basic expression")
        else:
            yield Record(image, split, label=BASIC_EXPRESSIONS.index(expression))


def folders(root: Path) -> set[Path]:
    """All folders below `root` that are named after a basic expression."""
    return {path for path in root.rglob("*") if expression_of(path.name) is not None and path.is_dir()}
