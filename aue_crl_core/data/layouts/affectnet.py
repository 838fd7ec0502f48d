"""AffectNet (Mollahosseini, Hasani & Mahoor, IEEE TAC 2019, arXiv 1708.03985): web photographs, 8 expressions, valence
and arousal; the release of cropped 224x224 faces with one annotation file a value.

`{train,val}_set/images/N.jpg` and beside it `{train,val}_set/annotations/N_exp.npy` (0-7, see `LABELS`), `N_val.npy`,
`N_aro.npy` (in [-1, 1]; -2: none) and `N_lnd.npy` (68 points x0 y0 x1 y1 ...).

Contempt (7) is none of the seven classes: such images are listed and left out. The labels of the test part were not
published, results are reported on the validation part, which is therefore the split `test` here (as in SFEW), so that
training never chooses anything on it; where a `test_set` lies beside it, that is `test` and `val_set` is `valid`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.data.annotations import image_of
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS, NUM_POINTS
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES
from aue_crl_core.types import FaceBox, Points

LABELS: Final = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""N_exp.npy's number -> expression."""
NO_EXPRESSION: Final = ("none", "uncertain", "no face")
"""The numbers from 8 on, of the full release."""
_NO_VALUE: Final = -2.0
_PARTS: Final = ("train_set", "val_set", "test_set")
_DAMAGE: Final = (
    *(OSError, EOFError, ValueError, TypeError, OverflowError, MemoryError),
    *(RecursionError, SyntaxError, TokenError),  # from a header that Python's own parser is given
)
"""What numpy raises at a file that is no array of numbers, or half of one."""


def read(root: Path) -> Iterator[Record]:
    """One record per image or `N_exp.npy` of every part that is there, by N; without a label it is unusable.

    Raises:
        DatasetError: no part is there, or an annotation file holds something else.
    """
    marks = [f"{part}/annotations" for part in _PARTS]
    parts = [part for part, mark in zip(_PARTS, marks, strict=True) if (root / mark).is_dir()]
    if not parts:
        raise DatasetError(
            f"no AffectNet under {root}: expected the folders train_set/annotations, train_set/images (or val_set)"
            f"{found_hint(root, *marks)}{packed_hint(root, *(root / part for part in _PARTS))}"
        )
    splits = {"train_set": "train", "val_set": "valid" if "test_set" in parts else "test", "test_set": "test"}
    for part in parts:
        images, annotations = root / part / "images", root / part / "annotations"
        there = images.iterdir() if images.is_dir() else ()
        names = {path.stem for path in there if path.suffix.lower() in IMAGE_SUFFIXES}
        names |= {path.name.removesuffix("_exp.npy") for path in annotations.glob("*_exp.npy")}
        for name in sorted(names, key=lambda n: (len(n), n)):
            image = image_of(images, name).relative_to(root).as_posix()
            yield _record(image, splits[part], annotations, name)


def _record(image: str, split: str, annotations: Path, name: str) -> Record:
    expression = _numbers(annotations / f"{name}_exp.npy", 1)
    if expression is None:
        return Record(image, split, usable=False, reason="it has no label in annotations/")
    label = expression[0]
    if label not in range(len(LABELS) + len(NO_EXPRESSION)):
        raise DatasetError(f"{annotations / name}_exp.npy must hold a label in [0, 10], got {label:g}")
    named = (*LABELS, *NO_EXPRESSION)[int(label)]
    points = _points(annotations / f"{name}_lnd.npy")
    return Record(
        image,
        split,
        label=BASIC_EXPRESSIONS.index(named) if named in BASIC_EXPRESSIONS else None,
        box=None if points is None else FaceBox.around(points),
        box_source=None if points is None else "layout",
        points=points,
        points_source=None if points is None else "layout",
        usable=named in BASIC_EXPRESSIONS,
        reason=None if named in BASIC_EXPRESSIONS else f"labelled {named}, none of the seven expressions",
        valence=_affect(annotations / f"{name}_val.npy"),
        arousal=_affect(annotations / f"{name}_aro.npy"),
    )


def _affect(path: Path) -> float | None:
    values = _numbers(path, 1)
    if values is None or values[0] == _NO_VALUE:
        return None
    if not -1 <= values[0] <= 1:
        raise DatasetError(f"{path} must hold a number in [-1, 1], or {_NO_VALUE:g} for none, got {values[0]:g}")
    return float(values[0])


def _points(path: Path) -> Points | None:
    values = _numbers(path, 2 * NUM_POINTS)
    return None if values is None else values.astype(np.float32).reshape(NUM_POINTS, 2)


def _numbers(path: Path, count: int) -> NDArray[np.float64] | None:
    """The numbers of an annotation file (some are written as text), float64; None where there is no file."""
    try:
        with path.open("rb") as file:
            values = np.lib.format.read_array(file, allow_pickle=False).astype(np.float64).ravel()
    except FileNotFoundError:
        return None
    except _DAMAGE as error:
        raise DatasetError(f"{path} must be a NumPy file of numbers, copy it again: {error}") from error
    if values.size != count or not np.isfinite(values).all():
        raise DatasetError(f"{path} must hold {count} finite numbers, got {values.size}: {values[:4].tolist()}")
    return values
