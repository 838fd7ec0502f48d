"""What an evaluation scores: an index or a folder of classes, and which part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.layouts import class_folders
from aue_crl_core.data.names import split_of
from aue_crl_core.errors import DatasetError

ALL: Final = "all"
"""Every image, whatever its split is called."""


def open_data(path: Path, root: Path | None = None) -> DatasetIndex:
    """An index file, or the images of a folder whose folders are named after expressions (nothing is written).

    Images of a folder without splits are in the split `all`. `root`: as `DatasetIndex.read`.

    Raises:
        DatasetError: as `class_folders.read` or `DatasetIndex.read`.
    """
    if not path.is_dir():
        return DatasetIndex.read(path, root)
    root = path.resolve()
    return DatasetIndex("folder", "basic", root, tuple(class_folders.read(root, unsplit=ALL)))


def choose_split(index: DatasetIndex, asked: str | None = None) -> tuple[DatasetIndex, str]:
    """The records to score and what to call them: the split that was asked for (by any of `names.SPLITS`), `all`, or,
    when none was, `test`, else all of an index that has one split only.

    Raises:
        DatasetError: there is no such split, or none was asked for and there are several without `test`.
    """
    splits = index.splits()
    if asked is None and "test" not in splits and len(splits) > 1:
        raise DatasetError(
            f"the data has no split 'test', it has {dict(splits)}; name one with --split, or score all with --split all"
        )
    chosen = asked or ("test" if "test" in splits else ALL)
    chosen = chosen if chosen in splits else split_of(chosen) or chosen
    if chosen == ALL and ALL not in splits and index.records:
        return index, ALL
    return index.select(chosen), chosen
