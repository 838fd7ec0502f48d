"""RAF-DB (Li, Deng & Du, CVPR 2017): in-the-wild photographs with 7 basic or 11 compound labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from aue_crl_core import facs
from aue_crl_core.data.index import Record
from aue_crl_core.errors import DatasetError
from aue_crl_core.types import FaceBox


def read_basic(root: Path) -> Iterator[Record]:
    """Records of `root/basic` (labels 1-7). See `_read`."""
    return _read(root, "basic", facs.BASIC_EXPRESSIONS)


def read_compound(root: Path) -> Iterator[Record]:
    """Records of `root/compound` (labels 1-11). See `_read`."""
    return _read(root, "compound", facs.COMPOUND_EXPRESSIONS)


def _read(root: Path, part: str, classes: tuple[str, ...]) -> Iterator[Record]:
    """One record per line of the label list; boxes are read where the dataset brings them.

    The photographs are `Image/original`; where that folder is absent, the small aligned crops of `Image/aligned`.

    Raises:
        DatasetError: the label list or the images' folder is absent, a line is not `NAME LABEL` with a label in range,
            or a box file does not hold a box.
    """
    labels = root / part / "EmoLabel" / "list_patition_label.txt"
    if not labels.is_file():
        raise DatasetError(f"no RAF-DB {part} part under {root}: expected {labels}")
    images = root / part / "Image"
    if not (images / "original").is_dir() and not (images / "aligned").is_dir():
        raise DatasetError(f"no images of RAF-DB {part}: expected the folder {images / 'original'} (or aligned)")
    aligned = not (images / "original").is_dir()
    for number, line in enumerate(labels.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().replace("\t", " ").partition(" ")
        label = label.strip()
        if not label.isdecimal() or not 1 <= int(label) <= len(classes):
            raise DatasetError(
                f"{labels}:{number} must read NAME LABEL with LABEL in [1, {len(classes)}], got {line!r}"
            )
        split, separator, _ = name.partition("_")
        if not separator or not split:
            raise DatasetError(f"{labels}:{number}: the name must begin with its split (train_, test_), got {name!r}")
        path = Path(name)
        if aligned:
            image, box = f"aligned/{path.stem}_aligned{path.suffix}", None
        else:
            image, box = f"original/{name}", _box(root / part / "Annotation" / "boundingbox", path.stem)
        yield Record(
            f"{part}/Image/{image}",
            split,
            label=int(label) - 1,
            box=box,
            box_source="layout" if box else None,
        )


def _box(folder: Path, stem: str) -> FaceBox | None:
    for path in (folder / f"{stem}_boundingbox.txt", folder / f"{stem}.txt"):
        if path.is_file():
            words = path.read_text(encoding="utf-8-sig").split()
            expected = f"{path} must hold x1 y1 x2 y2 with x1 < x2 and y1 < y2, got {' '.join(words)!r}"
            try:
                x1, y1, x2, y2 = (float(word) for word in words)
            except ValueError as error:
                raise DatasetError(expected) from error
            if not (x1 < x2 and y1 < y2 and all(map(math.isfinite, (x1, y1, x2, y2)))):
                raise DatasetError(expected)
            return FaceBox(x1, y1, x2 - x1, y2 - y1)
    return None
