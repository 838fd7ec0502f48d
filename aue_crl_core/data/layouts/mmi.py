"""MMI (Pantic et al., ICME 2005), as the reference code reads it: chosen frames, six labels, identity folds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from aue_crl_core.data.annotations import image_of, read_ids, read_points
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS
from aue_crl_core.text import read_text
from aue_crl_core.types import FaceBox

LABELS: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""Label file's number 0-5 -> expression."""
_LIST: Final = re.compile(r"id_(train|val)_list_crossval(\d+)\.txt")
_SPLITS: Final = {"train": "train", "val": "test"}


def read(root: Path, fold: int = 0) -> Iterator[Record]:
    """Records of one identity fold: `id_val_list_crossval{fold}.txt` is `test`, `id_train_list_...` is `train`.

    Below `root` or `root/Select_Frames`: `list/`, `Imgs*/ID.jpg`, `Emotions*/ID.txt` (first number: label 0-5) and
    `Landmarks_68*/ID.txt` (68 lines, optional). `subject` is the folder of the id (the clip), where it has one.

    Raises:
        DatasetError: a part or the fold is absent, a label file is absent or its number is not in 0-5, an id is named
            by both lists, or a landmark file has another form.
    """
    base = root / "Select_Frames" if (root / "Select_Frames").is_dir() else root
    if not (base / "list").is_dir():
        hint = found_hint(root, "list", "Select_Frames/list") + packed_hint(root, base)
        raise DatasetError(f"no MMI frames under {root}: expected {base / 'list'}{hint}")
    images, labels = _only(base, "Imgs"), _only(base, "Emotions")
    landmarks = _only(base, "Landmarks_68") if any(base.glob("Landmarks_68*/")) else None
    lists = {part: base / "list" / f"id_{part}_list_crossval{fold}.txt" for part in _SPLITS}
    if not all(path.is_file() for path in lists.values()):
        there = sorted({int(m[2]) for p in (base / "list").iterdir() if (m := _LIST.fullmatch(p.name))})
        raise DatasetError(
            f"no fold {fold} of MMI: expected {lists['train'].name} and {lists['val'].name} in {base / 'list'}; "
            f"there are lists of the folds {there}"
        )
    ids = {part: read_ids(path) for part, path in lists.items()}
    both = set(ids["train"]) & set(ids["val"])
    if both:
        raise DatasetError(f"the lists of fold {fold} in {base / 'list'} must share no image, both have {min(both)!r}")
    for part, split in _SPLITS.items():
        for identifier in ids[part]:
            points = None if landmarks is None else read_points(landmarks / f"{identifier}.txt")
            parent = PurePosixPath(identifier).parent.as_posix()
            yield Record(
                image_of(images, identifier).relative_to(root).as_posix(),
                split,
                label=BASIC_EXPRESSIONS.index(LABELS[_label(labels / f"{identifier}.txt")]),
                box=None if points is None else FaceBox.around(points),
                box_source=None if points is None else "layout",
                points=points,
                points_source=None if points is None else "layout",
                subject=None if parent == "." else parent,
            )


def _only(base: Path, beginning: str) -> Path:
    """The one folder of `base` whose name begins so: copies of the set name them after who made them."""
    found = sorted(path for path in base.glob(f"{beginning}*") if path.is_dir())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DatasetError(
            f"{base} must hold one folder whose name begins with {beginning}, got {names}{packed_hint(base)}"
        )
    return found[0]


def _label(path: Path) -> int:
    if not os.path.isfile(path):
        raise DatasetError(f"{path} is not there, but the list names its image; copy the label files again")
    words = read_text(path, DatasetError).split()
    try:
        label = float(words[0]) if words else -1.0
    except ValueError:
        label = -1.0
    if label not in range(len(LABELS)):
        raise DatasetError(f"{path} must begin with a label in [0, {len(LABELS) - 1}], got {' '.join(words[:3])!r}")
    return int(label)
