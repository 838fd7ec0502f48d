"""Small text files that datasets bring for one image each: face points, a box, a list of ids."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.text import read_text
from aue_crl_core.types import Points

_MOST_DIGITS: Final = 9
OTHER_SCHEMES: Final = (49, 66)
"""Numbers of points that trackers of other schemes write; such files are passed over."""


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Where ("FILE:LINE") and text of every line of a UTF-8 file that is not blank.

    Raises:
        DatasetError: it cannot be read, or is not UTF-8.
    """
    for number, line in enumerate(io.StringIO(read_text(path, DatasetError), newline=None), start=1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\n")


def read_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Where and cells of every line of a CSV file that is not empty.

    Raises:
        DatasetError: as `read_lines`, or it is no CSV.
    """
    reader = csv.reader(io.StringIO(read_text(path, DatasetError), newline=""))
    try:
        for row in reader:
            if row:
                yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num} must be a line of CSV: {error}") from error


def whole_number(word: str) -> int:
    """A whole number.

    Raises:
        ValueError: another word, or more digits than any count or pixel has (`int` takes thousands).
    """
    if len(word) > _MOST_DIGITS:
        raise ValueError(f"{len(word)} digits")
    return int(word)


def read_points(path: Path) -> Points | None:
    """68 lines `x y` as 68x2 float32 (pixels, whatever origin the file has).

    None where there is no file, where it holds at most one line (the tracker had found no face), or where it holds
    the points of another scheme (`OTHER_SCHEMES`).

    Raises:
        DatasetError: another form, or a number that is not finite.
    """
    if not os.path.isfile(path):
        return None
    rows = [row for _, line in read_lines(path) if (row := line.replace(",", " ").split())]
    if len(rows) <= 1 or len(rows) in OTHER_SCHEMES:
        return None
    try:
        points = np.array([[float(word) for word in row] for row in rows], dtype=np.float32)
    except ValueError:
        points = np.zeros(0, dtype=np.float32)
    if points.shape != (NUM_POINTS, 2) or not np.isfinite(points).all():
        raise DatasetError(f"{path} must hold {NUM_POINTS} lines of x y, got {len(rows)} lines; restore or delete it")
    return points


def read_ids(path: Path) -> list[str]:
    """The ids of a list file, one a line; blank lines and what follows the first blank are left out.

    Raises:
        DatasetError: it is not UTF-8, names nothing, one id twice, or a place outside the dataset.
    """
    ids = []
    for where, line in read_lines(path):
        place = PurePosixPath(line.split()[0])
        if place.is_absolute() or ".." in place.parts:
            raise DatasetError(f"{where} must name an image below the dataset's folder, got {str(place)[:80]!r}")
        ids.append(line.split()[0])
    if not ids:
        raise DatasetError(f"{path} must name one image a line, got an empty list; copy it again")
    name, times = Counter(ids).most_common(1)[0]
    if times > 1:
        raise DatasetError(f"{path} must name every image once, got {name!r} {times} times")
    return ids


def image_of(folder: Path, identifier: str, suffixes: tuple[str, ...] = (".jpg", ".png")) -> Path:
    """The image behind an id without suffix: the first of `suffixes` that is there, else the first (not there)."""
    candidates = [folder / f"{identifier}{suffix}" for suffix in suffixes]
    return next((path for path in candidates if os.path.isfile(path)), candidates[0])
