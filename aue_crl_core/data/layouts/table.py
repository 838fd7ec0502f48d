"""The dataset layouts that `prepare` reads. A layout is one small module with a `read(root)` and one line here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aue_crl_core.data import tables
from aue_crl_core.data.index import Record
from aue_crl_core.data.layouts import (
    affectnet,
    bp4d,
    ck_plus,
    class_folders,
    expw,
    fer2013,
    ferplus,
    mmi,
    named_files,
    no_faces,
    raf_db,
    sfew,
)
from aue_crl_core.errors import ConfigError, DatasetError
from aue_crl_core.facs import VocabularyName


@dataclass(frozen=True)
class LayoutOptions:
    """What may be said about a dataset beside its folder; the defaults leave it to the layout.

    aligned: RAF-DB's small aligned crops in place of the photographs.
    fold: which of the identity folds is `test` (MMI, BP4D).
    vocabulary: `basic` or `compound` (tables).
    """

    aligned: bool = False
    fold: int | None = None
    vocabulary: VocabularyName | None = None


@dataclass(frozen=True)
class Layout:
    """How a dataset lies on disk: `read(root)` yields one record a face, unusable ones with their reason.

    `options` names those of `LayoutOptions` that `read` takes as keywords; `file`: ROOT may be a file, not a folder;
    `unpack(root, folder)`, for a set without image files, writes these to `folder` and gives the folder to read;
    `passed_over(root)`: names of columns that nothing is read from.
    """

    vocabulary: VocabularyName
    read: Callable[..., Iterator[Record]]
    options: tuple[str, ...] = ()
    file: bool = False
    unpack: Callable[[Path, Path], Path] | None = None
    passed_over: Callable[[Path], Sequence[str]] | None = None

    def records(self, root: Path, options: LayoutOptions) -> Iterator[Record]:
        """`read(root)` with the options that were given.

        Raises:
            ConfigError: an option that this layout has not.
            DatasetError: as the layout's `read`.
        """
        default = LayoutOptions()
        given = {
            field.name: getattr(options, field.name)
            for field in dataclasses.fields(options)
            if getattr(options, field.name) != getattr(default, field.name)
        }
        for name in given:
            if name not in self.options:
                able = ", ".join(key for key, layout in LAYOUTS.items() if name in layout.options)
                raise ConfigError(f"--{name} must be given only for the layouts {able}")
        return self.read(root, **given)


LAYOUTS: Final = {
    "fer2013": Layout("basic", fer2013.read, file=True, unpack=fer2013.unpack),
    "ferplus": Layout("basic", ferplus.read),
    "affectnet": Layout("basic", affectnet.read),
    "raf-db": Layout("basic", raf_db.read_basic, ("aligned",)),
    "raf-db-compound": Layout("compound", raf_db.read_compound, ("aligned",)),
    "sfew": Layout("basic", sfew.read),
    "mmi": Layout("basic", mmi.read, ("fold",)),
    "expw": Layout("basic", expw.read),
    "bp4d": Layout("basic", bp4d.read, ("fold",)),
    "kdef": Layout("basic", named_files.read_kdef),
    "jaffe": Layout("basic", named_files.read_jaffe),
    "ck-plus": Layout("basic", ck_plus.read),
    "folder": Layout("basic", class_folders.read),
    no_faces.NAME: Layout("basic", no_faces.read),
    "csv": Layout("basic", tables.read_csv, ("vocabulary",), file=True, passed_over=tables.passed_over),
    "parquet": Layout("basic", tables.read_parquet, ("vocabulary",), file=True, passed_over=tables.passed_over),
}


def find_layout(name: str) -> Layout:
    """The layout behind `aue-crl prepare NAME`.

    Raises:
        DatasetError: no such layout.
    """
    if name not in LAYOUTS:
        raise DatasetError(f"no layout {name!r}; known are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
