"""The dataset layouts that `prepare` reads. A layout is one small module with a `read(root)` and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aue_crl_core.data import class_folders, ferplus, raf_db
from aue_crl_core.data.index import Record
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import VocabularyName


@dataclass(frozen=True)
class Layout:
    """How a dataset lies on disk: `read(root)` yields one record an image, unusable ones with their reason."""

    vocabulary: VocabularyName
    read: Callable[[Path], Iterator[Record]]


LAYOUTS: Final = {
    "ferplus": Layout("basic", ferplus.read),
    "raf-db": Layout("basic", raf_db.read_basic),
    "raf-db-compound": Layout("compound", raf_db.read_compound),
    "folder": Layout("basic", class_folders.read),
}


def find_layout(name: str) -> Layout:
    """The layout behind `aue-crl prepare NAME`.

    Raises:
        DatasetError: no such layout.
    """
    if name not in LAYOUTS:
        raise DatasetError(f"no layout {name!r}; known are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
