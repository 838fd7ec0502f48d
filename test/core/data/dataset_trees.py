"""What the tests make small dataset trees of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Place = Callable[[Path], Path]
"""`place(path)` puts the photograph there and gives the path back."""

POINTS = np.random.default_rng(0).uniform(150, 350, (68, 2)).astype(np.float32)
"""Face points, in pixels of the photograph."""


def points_text(points: np.ndarray = POINTS) -> str:
    """68 lines `x y`."""
    return "".join(f"{x:.4f} {y:.4f}\n" for x, y in points)


def write(path: Path, text: str) -> Path:
    """The text in a file; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pixels_of(seed: int) -> np.ndarray:
    """A picture of FER-2013's size and kind, 48x48 uint8 grey, of its own for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)


def pixels_text(seed: int) -> str:
    """`pixels_of(seed)` as a cell of FER-2013's table."""
    return " ".join(map(str, pixels_of(seed).ravel()))
