"""RAF-DB (Li, Deng & Du, CVPR 2017): in-the-wild photographs with 7 basic or 11 compound labels."""

from __future__ import annotations

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

    Raises:
        DatasetError: the label list is absent, or a line is not `NAME LABEL` with a label in range.
    """
    labels = root / part / "EmoLabel" / "list_patition_label.txt"
    if not labels.is_file():
        raise DatasetError(f"no RAF-DB {part} part under {root}: expected {labels}")
    for number, line in enumerate(labels.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().partition(" ")
        if not label.strip().isdigit() or not 1 <= int(label) <= len(classes):
            raise DatasetError(
                f"{labels}:{number} must read NAME LABEL with LABEL in [1, {len(classes)}], got {line!r}"
            )
        split, separator, _ = name.partition("_")
        if not separator:
            raise DatasetError(f"{labels}:{number}: the name must begin with its split (train_, test_), got {name!r}")
        box = _box(root / part / "Annotation" / "boundingbox", Path(name).stem)
        yield Record(
            f"{part}/Image/original/{name}",
            split,
            label=int(label) - 1,
            box=box,
            box_source="layout" if box else None,
        )


def _box(folder: Path, stem: str) -> FaceBox | None:
    for path in (folder / f"{stem}_boundingbox.txt", folder / f"{stem}.txt"):
        if path.is_file():
            words = path.read_text().split()
            try:
                x1, y1, x2, y2 = (float(word) for word in words)
            except ValueError as error:
                raise DatasetError(f"{path} must hold x1 y1 x2 y2, got {' '.join(words)!r}") from error
            return FaceBox(x1, y1, x2 - x1, y2 - y1)
    return None
