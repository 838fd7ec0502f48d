"""FER-2013 (Goodfellow et al., ICONIP 2013, arXiv 1307.0414): 48x48 grey faces from a web search, 7 basic labels.

It comes as one table of pixels (`fer2013.csv`, or `icml_face_data.csv` of the same content: columns emotion, pixels,
Usage; Kaggle, "Challenges in Representation Learning: Facial Expression Recognition Challenge"), or as the same
pictures in folders (`train/angry/*`, ... on Kaggle, with `fear` or `fearful` and so on), which are class folders.

The public test is the split `valid`, the private one `test`, as the challenge used them.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.layouts import class_folders
from aue_crl_core.data.names import split_of
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.hashing import file_sha256
from aue_crl_core.media.reading.headers import read_header
from aue_crl_core.types import FaceBox
from aue_crl_core.whole_file import whole_file

TABLES: Final = ("fer2013.csv", "icml_face_data.csv")
LABELS: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The table's number 0-6 -> expression."""
SIDE: Final = 48
_LEVELS: Final = {str(level): level for level in range(256)}
_MARK: Final = "source.sha256"


def read(root: Path) -> Iterator[Record]:
    """As `class_folders.read`; every picture is a face, its box the whole of it."""
    for record in class_folders.read(root):
        box = _whole(root / record.image)
        yield record if box is None else dataclasses.replace(record, box=box, box_source="layout")


def unpack(root: Path, folder: Path) -> Path:
    """The folder that `read` takes: `root` itself, or, where it is or holds the table of pixels, `folder` with its rows
    as files `SPLIT/CLASS/ROW.png` (48x48 grey, lossless; ROW counts from 1).

    `folder` is filled once: a second call writes only what an interrupted one left out, and all of it anew for a table
    of other content.

    Raises:
        DatasetError: `root` is no such table and holds neither one nor class folders, a row does not fit (named with
            its line), or `folder` holds something else.
    """
    table = root if root.is_file() else next((root / name for name in TABLES if (root / name).is_file()), None)
    if table is None:
        if class_folders.folders(root):
            return root
        hint = found_hint(root, *TABLES) + packed_hint(root)
        raise DatasetError(f"no FER-2013 at {root}: expected {' or '.join(TABLES)}, or folders of the classes{hint}")
    _begin(folder, file_sha256(table))
    for row, (where, split, expression, pixels) in enumerate(_rows(table), start=1):
        path = folder / split / expression / f"{row:05}.png"
        if not path.is_file():
            with whole_file(path) as part:
                part.write_bytes(cv2.imencode(".png", _picture(pixels, where))[1].tobytes())
    return folder


def _whole(path: Path) -> FaceBox | None:
    """The box of a whole picture; None where it does not say how large it is (`prepare` finds out why)."""
    try:
        header = read_header(path.read_bytes())
    except OSError:
        return None
    return None if header is None else FaceBox(0, 0, header.width, header.height)


def _begin(folder: Path, source: str) -> None:
    """Make `folder` ready for the pictures of a table; `source` is the hash of its content."""
    mark = folder / _MARK
    if mark.is_file() and mark.read_text() == source:
        return
    if folder.exists() and not mark.is_file() and any(folder.iterdir()):
        raise DatasetError(
            f"the pictures go to {folder}, which holds something else; move it, or name another --output"
        )
    for old in folder.rglob("*.png"):
        old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(source)


def _rows(table: Path) -> Iterator[tuple[str, str, str, str]]:
    """Of every row: where it stands, split, expression, pixels."""
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            heading = [cell.strip().lower() for cell in next(reader, [])]
            if not {"emotion", "pixels"} <= set(heading):
                raise DatasetError(
                    f"{table} must have the columns emotion, pixels, Usage, got {', '.join(heading)[:200]}"
                )
            for cells in reader:
                if cells:
                    yield _row(cells, heading, f"{table}:{reader.line_num}")
        except csv.Error as error:
            raise DatasetError(f"{table}:{reader.line_num} must be a line of CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise DatasetError(f"{table} must be UTF-8 text: {error}; copy it again") from error


def _row(cells: list[str], heading: list[str], where: str) -> tuple[str, str, str, str]:
    if len(cells) != len(heading):
        raise DatasetError(f"{where} must have {len(heading)} cells as the heading has, got {len(cells)}")
    row = dict(zip(heading, (cell.strip() for cell in cells), strict=True))
    label, usage = row["emotion"], row.get("usage", "Training")
    if label not in _LEVELS or _LEVELS[label] >= len(LABELS):
        raise DatasetError(f"{where}: emotion must be in [0, {len(LABELS) - 1}], got {label[:40]!r}")
    split = split_of(usage)
    if split is None:
        raise DatasetError(f"{where}: Usage must be Training, PublicTest or PrivateTest, got {usage[:40]!r}")
    return where, split, LABELS[int(label)], row["pixels"]


def _picture(pixels: str, where: str) -> NDArray[np.uint8]:
    """The row's 2304 numbers as 48x48 grey."""
    words = pixels.split()
    if len(words) != SIDE * SIDE:
        raise DatasetError(f"{where}: pixels must be {SIDE * SIDE} numbers ({SIDE}x{SIDE}), got {len(words)}")
    try:
        values = bytes(_LEVELS[word] for word in words)
    except KeyError as error:
        raise DatasetError(f"{where}: pixels must be whole numbers in [0, 255], got {str(error)[:40]}") from None
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE)
