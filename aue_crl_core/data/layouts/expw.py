"""ExpW (Zhang et al., IJCV 2018): web photographs, several labelled and boxed faces each.

The set brings no split. Here a tenth of the photographs is `test` (the reference code draws as many faces at random),
chosen by a checksum of the file's name: the same on every machine, and all faces of a photograph are on one side.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from aue_crl_core.data.annotations import read_lines, whole_number
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS, NUM_POINTS
from aue_crl_core.types import FaceBox, Points

LABELS: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""label.lst's number 0-6 -> expression."""
TEST_SHARE: Final = 0.1
_COLUMNS: Final = "NAME FACE TOP LEFT RIGHT BOTTOM CONFIDENCE LABEL"
_IMAGES: Final = Path("data/image/origin")


def read(root: Path) -> Iterator[Record]:
    """One record per line of `root/data/label/label.lst`, images in `root/data/image/origin/`.

    The boxes are the set's own. `landmarks/ExpW_landmarks.txt`, where it is there, adds the 68 points of a face: the
    same eight columns and then x0 y0 x1 y1 ... counted from the box's corner.

    A line whose box is empty is listed as unusable.

    Raises:
        DatasetError: the list or the images' folder is absent, a line is not of eight columns with a label in 0-6, or a
            face is listed twice.
    """
    labels, images = root / "data/label/label.lst", root / _IMAGES
    if not labels.is_file():
        hint = found_hint(root, str(labels.relative_to(root))) + packed_hint(root, root / "data", labels.parent)
        raise DatasetError(f"no ExpW under {root}: expected {labels}{hint}")
    if not images.is_dir():
        raise DatasetError(
            f"no images of ExpW: expected the folder {images}{packed_hint(images.parent, root / 'data')}"
        )
    points = _landmarks(root / "landmarks/ExpW_landmarks.txt")
    seen: set[tuple[str, str]] = set()
    for where, words in _lines(labels):
        box, label = _face(words, where)
        name, face = words[0], words[1]
        if (name, face) in seen:
            raise DatasetError(f"{where}: face {face} of {name} is listed twice")
        seen.add((name, face))
        image, split = (_IMAGES / name).as_posix(), "test" if _in_test(name) else "train"
        if box.w <= 0 or box.h <= 0:
            yield Record(image, split, usable=False, reason="its box in label.lst is empty")
            continue
        own = points.get((name, face))
        yield Record(
            image,
            split,
            label=BASIC_EXPRESSIONS.index(LABELS[label]),
            box=box,
            box_source="layout",
            points=None if own is None else own + np.array([box.x, box.y], dtype=np.float32),
            points_source=None if own is None else "layout",
        )


def _in_test(name: str) -> bool:
    return zlib.crc32(name.encode()) / 2**32 < TEST_SHARE


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    for where, line in read_lines(path):
        yield where, line.split()


def _face(words: list[str], where: str) -> tuple[FaceBox, int]:
    expected = f"{where} must read {_COLUMNS} with LABEL in [0, {len(LABELS) - 1}], got {' '.join(words)[:80]!r}"
    if len(words) != 8:
        raise DatasetError(f"{expected} ({len(words)} columns)")
    try:
        top, left, right, bottom = (whole_number(word) for word in words[2:6])
        _, label = float(words[6]), whole_number(words[7])
    except ValueError as error:
        raise DatasetError(expected) from error
    if not 0 <= label < len(LABELS):
        raise DatasetError(expected)
    return FaceBox(left, top, right - left, bottom - top), label


def _landmarks(path: Path) -> dict[tuple[str, str], Points]:
    points = {}
    for where, words in _lines(path) if path.is_file() else ():
        try:
            values = np.array(words[8:], dtype=np.float32)
        except ValueError:
            values = np.zeros(0, dtype=np.float32)
        if values.shape != (2 * NUM_POINTS,) or not np.isfinite(values).all():
            raise DatasetError(f"{where} must read {_COLUMNS} and {2 * NUM_POINTS} numbers, got {len(words)} words")
        points[words[0], words[1]] = values.reshape(NUM_POINTS, 2)
    return points
