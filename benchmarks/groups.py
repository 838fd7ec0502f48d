"""Whether faces are read equally well whoever they belong to.

    python benchmarks/groups.py --data raf_ident.parquet --split test --groups people.csv --output groups.md

`people.csv` has a column `subject` (as in the index) or `image`, and a column a grouping, for instance `sex` or `age`;
an empty field is not counted. Every labelled image of the split goes through the whole path, as a camera's would. A row
a group: images, faces not found, how many labels are right (95 % interval, Wilson), the same if every group showed the
expressions of all together (of those only that each group shows `_FEW` times and more), answers called ok, calibration
error.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from labelled import labelled_faces
from risk import Read, ece, interval

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.index import DatasetIndex

_FEW: Final = 10


class Member(NamedTuple):
    """A labelled image as it was read, its label, and its groups by grouping."""

    read: Read
    label: int
    groups: Mapping[str, str]


def read_groups(path: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """The name of the key column, and key -> grouping -> group."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    key = next((name for name in ("subject", "image") if rows and name in rows[0]), None)
    if key is None:
        raise SystemExit(f"{path} must have a column subject or image, and one a grouping")
    return key, {row.pop(key): {name: value for name, value in row.items() if value} for row in rows}


def members(analyzer: FaceAnalyzer, index: DatasetIndex, groups: Path) -> list[Member]:
    """The labelled images of `index` that have a group."""
    key, known = read_groups(groups)
    found = []
    for record, face in labelled_faces(analyzer, index):
        mine = known.get(getattr(record, key) or "")
        if mine:
            read = Read(face, face is None or face.expression != index.classes[record.label])
            found.append(Member(read, record.label, mine))
    return found


def table(grouping: str, everybody: Sequence[Member], classes: Sequence[str]) -> list[str]:
    """Lines of Markdown."""
    groups: dict[str, list[Member]] = defaultdict(list)
    for member in everybody:
        if grouping in member.groups:
            groups[member.groups[grouping]].append(member)
    pooled = [member for group in groups.values() for member in group]
    counts = {c: [sum(m.label == c for m in group) for group in groups.values()] for c in range(len(classes))}
    shared = [c for c, count in counts.items() if min(count) >= _FEW]
    weights = np.array([sum(counts[c]) for c in shared]) / max(1, sum(sum(counts[c]) for c in shared))
    named = ", ".join(classes[c] for c in shared)
    lines = [
        f"| {grouping} | images | not found | right | 95 % | same mix ({named}) | ok | calibration error (by chance) |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, group in [*sorted(groups.items()), ("all", pooled)]:
        wrong = sum(m.read.wrong for m in group)
        low, high = interval(wrong, len(group))
        recalls = [np.mean([not m.read.wrong for m in group if m.label == c]) for c in shared]
        faces = [m.read for m in group if m.read.face is not None]
        ok = np.mean([r.face.state == "ok" for r in faces])
        lines.append(
            f"| {name} | {len(group)} | {len(group) - len(faces)} | {1 - wrong / len(group):.1%} | {1 - high:.1%} to "
            f"{1 - low:.1%} | {np.dot(weights, recalls):.1%} | {ok:.1%} | {ece(faces)} |"
        )
    return lines


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", nargs="+", default=["valid"])
    parser.add_argument("--groups", type=Path, required=True)
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--output", type=Path, required=True)
    chosen: Any = parser.parse_args()
    cv2.setNumThreads(1)
    analyzer = FaceAnalyzer.load(chosen.weights, threads=1)
    index = DatasetIndex.read(chosen.data)
    everybody = [m for split in chosen.split for m in members(analyzer, index.select(split), chosen.groups)]
    groupings = dict.fromkeys(grouping for member in everybody for grouping in member.groups)
    text = "\n\n".join("\n".join(table(grouping, everybody, index.classes)) for grouping in groupings) + "\n"
    chosen.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
