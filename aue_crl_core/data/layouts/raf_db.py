"""RAF-DB (Li, Deng & Du, CVPR 2017): in-the-wild photographs with 7 basic or 11 compound labels."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aue_crl_core import facs
from aue_crl_core.data.annotations import read_lines, read_points
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.text import read_text
from aue_crl_core.types import FaceBox, Points

_LABEL = re.compile(r"\d{1,4}")


def read_basic(root: Path, aligned: bool = False) -> Iterator[Record]:
    """Records of `root/basic` (labels 1-7). See `_read`."""
    return _read(root, "basic", facs.BASIC_EXPRESSIONS, aligned)


def read_compound(root: Path, aligned: bool = False) -> Iterator[Record]:
    """Records of `root/compound` (labels 1-11). See `_read`."""
    return _read(root, "compound", facs.COMPOUND_EXPRESSIONS, aligned)


def _read(root: Path, part: str, classes: tuple[str, ...], aligned: bool) -> Iterator[Record]:
    """One record per line of the label list; boxes and points are read where they are there.

    The photographs are `Image/original`; with `aligned`, or where that folder is absent, the small crops of
    `Image/aligned`. Points (68 lines `x y`) lie in `Annotation/Landmarks_68_FAN_bbox/train_00001.txt`, counted from the
    box's corner, and for the crops in `Landmarks_68_FAN_aligned`, in pixels of the crop.

    Raises:
        DatasetError: the label list or the images' folder is absent, a line is not `NAME LABEL` with a label in range,
            a name is listed twice, or a box or landmark file is of another form.
    """
    labels = root / part / "EmoLabel" / "list_patition_label.txt"
    if not labels.is_file():
        hint = found_hint(root, str(labels.relative_to(root))) + packed_hint(root, root / part, labels.parent)
        raise DatasetError(f"no RAF-DB {part} part under {root}: expected {labels}{hint}")
    images, annotation = root / part / "Image", root / part / "Annotation"
    if aligned and not (images / "aligned").is_dir():
        raise DatasetError(f"no aligned images of RAF-DB {part}: expected {images / 'aligned'}{packed_hint(images)}")
    if not (images / "original").is_dir() and not (images / "aligned").is_dir():
        hint = packed_hint(images, root / part)
        raise DatasetError(f"no images of RAF-DB {part}: expected the folder {images / 'original'} (or aligned){hint}")
    aligned = aligned or not (images / "original").is_dir()
    seen: set[str] = set()
    for where, line in read_lines(labels):
        name, _, label = line.strip().replace("\t", " ").partition(" ")
        label = label.strip()
        if not _LABEL.fullmatch(label) or not 1 <= int(label) <= len(classes):
            raise DatasetError(f"{where} must read NAME LABEL with LABEL in [1, {len(classes)}], got {line!r}")
        split, separator, _ = name.partition("_")
        if not separator or not split:
            raise DatasetError(f"{where}: the name must begin with its split (train_, test_), got {name!r}")
        if name in seen:
            raise DatasetError(f"{where}: {name} is listed twice")
        seen.add(name)
        path = Path(name)
        if aligned:
            image, box = f"aligned/{path.stem}_aligned{path.suffix}", None
            points = read_points(annotation / "Landmarks_68_FAN_aligned" / f"{path.stem}.txt")
        else:
            image, box = f"original/{name}", _box(annotation / "boundingbox", path.stem)
            points = _points(annotation / "Landmarks_68_FAN_bbox" / f"{path.stem}.txt", box)
        if points is not None and box is None:
            box = FaceBox.around(points)
        yield Record(
            f"{part}/Image/{image}",
            split,
            label=int(label) - 1,
            box=box,
            box_source="layout" if box else None,
            points=points,
            points_source=None if points is None else "layout",
        )


def _points(path: Path, box: FaceBox | None) -> Points | None:
    """Points counted from the box's corner, as image pixels; None without a box to count from."""
    points = read_points(path)
    if points is None or box is None:
        return None
    return points + np.array([box.x, box.y], dtype=np.float32)


def _box(folder: Path, stem: str) -> FaceBox | None:
    for path in (folder / f"{stem}_boundingbox.txt", folder / f"{stem}.txt"):
        if os.path.isfile(path):
            words = read_text(path, DatasetError).split()
            expected = f"{path} must hold x1 y1 x2 y2 with x1 < x2 and y1 < y2, got {' '.join(words)[:80]!r}"
            try:
                x1, y1, x2, y2 = (float(word) for word in words)
            except ValueError as error:
                raise DatasetError(expected) from error
            if not (x1 < x2 and y1 < y2 and all(map(math.isfinite, (x1, y1, x2, y2)))):
                raise DatasetError(expected)
            return FaceBox(x1, y1, x2 - x1, y2 - y1)
    return None
