"""Small text files that datasets bring for one image each: face points, a box, a list of ids."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np

from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.types import Points

OTHER_SCHEMES: Final = (49, 66)
"""Numbers of points that trackers of other schemes write; such files are passed over."""


def read_points(path: Path) -> Points | None:
    """68 lines `x y` as 68x2 float32 (pixels, whatever origin the file has).

    None where there is no file, where it holds at most one line (the tracker had found no face), or where it holds
    the points of another scheme (`OTHER_SCHEMES`).

    Raises:
        DatasetError: another form, or a number that is not finite.
    """
    if not path.is_file():
        return None
    rows = [line.replace(",", " ").split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    rows = [row for row in rows if row]
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
        DatasetError: it names nothing, or one id twice.
    """
    ids = [line.split()[0] for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not ids:
        raise DatasetError(f"{path} must name one image a line, got an empty list; copy it again")
    name, times = Counter(ids).most_common(1)[0]
    if times > 1:
        raise DatasetError(f"{path} must name every image once, got {name!r} {times} times")
    return ids


def image_of(folder: Path, identifier: str, suffixes: tuple[str, ...] = (".jpg", ".png")) -> Path:
    """The image behind an id without suffix: the first of `suffixes` that is there, else the first (not there)."""
    candidates = [folder / f"{identifier}{suffix}" for suffix in suffixes]
    return next((path for path in candidates if path.is_file()), candidates[0])
