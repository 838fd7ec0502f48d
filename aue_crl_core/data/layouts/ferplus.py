"""FER+: 48x48 grey faces with ten crowd votes each (Barsoum et al., ICMI 2016).

Seven-class protocol: votes of a single person are removed, then images whose majority is contempt, unknown or
not-a-face are marked unusable; what is left is scored on the majority and trained on the vote distribution.
The majority is the answer with the most votes; of equals, the first in the order of the label file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from aue_crl_core.data.annotations import read_rows
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS
from aue_crl_core.types import FaceBox

SPLITS = {"FER2013Train": "train", "FER2013Valid": "valid", "FER2013Test": "test"}
VOTED = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "not-a-face",
)
_BOX = re.compile(r"\(\s*(-?\d{1,9}),\s*(-?\d{1,9}),\s*(-?\d{1,9}),\s*(-?\d{1,9})\s*\)")
_VOTES = re.compile(r"\s*\d{1,9}\s*")


def read(root: Path) -> Iterator[Record]:
    """Records of `root/data/FER2013{Train,Valid,Test}`; a part that is absent is left out.

    Raises:
        DatasetError: none of the parts is there, or a label file has a line of another form.
    """
    parts = [(root / "data" / folder, split) for folder, split in SPLITS.items()]
    present = [(folder, split) for folder, split in parts if (folder / "label.csv").is_file()]
    if not present:
        marks = (f"data/{folder}/label.csv" for folder in SPLITS)
        hint = found_hint(root, *marks) + packed_hint(root, root / "data")
        raise DatasetError(f"no FER+ under {root}: expected data/FER2013Train/label.csv (or Valid, Test) there{hint}")
    for folder, split in present:
        for where, line in read_rows(folder / "label.csv"):
            yield _record(line, folder.relative_to(root), split, where)


def _record(line: list[str], folder: Path, split: str, where: str) -> Record:
    box = _BOX.fullmatch(line[1].strip()) if len(line) == 2 + len(VOTED) else None
    if box is None or not line[0] or not all(map(_VOTES.fullmatch, line[2:])):
        raise DatasetError(f'{where} must read NAME,"(x0, y0, x1, y1)" and ten vote counts, got {",".join(line)!r}')
    left, top, right, bottom = (int(v) for v in box.groups())
    if left >= right or top >= bottom:
        raise DatasetError(f"{where} must have a box (x0, y0, x1, y1) with x0 < x1 and y0 < y1, got {line[1]}")
    image = (folder / line[0]).as_posix()
    face = FaceBox(left, top, right - left, bottom - top)
    votes = dict(zip(VOTED, (int(v) if int(v) > 1 else 0 for v in line[2:]), strict=True))
    majority = max(votes, key=lambda name: votes[name])
    if majority not in BASIC_EXPRESSIONS or votes[majority] == 0:
        reason = f"majority vote is {majority}" if votes[majority] else "no two votes agree"
        return Record(image, split, box=face, box_source="layout", usable=False, reason=reason)
    total = sum(votes[name] for name in BASIC_EXPRESSIONS)
    return Record(
        image,
        split,
        label=BASIC_EXPRESSIONS.index(majority),
        votes=tuple(votes[name] / total for name in BASIC_EXPRESSIONS),
        box=face,
        box_source="layout",
    )
