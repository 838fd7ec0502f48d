"""An index of the facial_expressions photographs that knows who is on them, from a copy of the collection.

    python research/identities.py raf.parquet facial_expressions/images --output raf_ident.parquet

The collection (github.com/muxspace/facial_expressions) names its files by person and number (`Abdullah_Gul_0003.jpg`);
in the RAF-DB layout the photographs have other names, sizes and compression. They are found again by looks: the
collection's picture that is nearest in a 32x32 grey thumbnail, where it is near enough. Those that lie at least as near
and show somebody else by name (the same photograph under two names) leave a face without a `subject`.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES, load_image

_SIDE: Final = 32
_NEAR: Final = 5.0
"""Root mean square difference in grey levels: a photograph and its copy differ by 0.5 (LFW) to 4.4 (film stills,
enlarged), two photographs by 20 to 40."""
_NUMBERED: Final = re.compile(r"(.+)_\d+")
_BLOCK: Final = 512


def thumbnail(path: Path) -> NDArray[np.float32]:
    """A picture as 1024 grey levels."""
    grey = cv2.cvtColor(load_image(path), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()


def person(path: Path) -> str | None:
    """Who is on a picture of the collection, by its name; None where that has no number after a name."""
    found = _NUMBERED.fullmatch(path.stem)
    return found.group(1) if found else None


def identify(index: DatasetIndex, collection: Path) -> DatasetIndex:
    """`index` with the `subject` of each usable record that is found in `collection`; of no other record."""
    files = sorted(path for path in collection.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    known = np.array([thumbnail(path) for path in files])
    used = [record for record in index.records if record.usable]
    subjects: dict[str, str | None] = {}
    for start in range(0, len(used), _BLOCK):
        block = used[start : start + _BLOCK]
        seen = np.array([thumbnail(index.path(record)) for record in block])
        squared = (seen**2).sum(1)[:, None] - 2 * seen @ known.T + (known**2).sum(1)
        near = squared <= _SIDE**2 * _NEAR**2
        for record, row in zip(block, near, strict=True):
            people = {person(files[i]) for i in np.flatnonzero(row)}
            subjects[record.image] = people.pop() if len(people) == 1 else None
    return replace(index, records=tuple(replace(r, subject=subjects.get(r.image)) for r in index.records))


def report(index: DatasetIndex) -> None:
    """How many faces of each split have a subject, and how many persons have several."""
    people = {}
    for split in index.splits():
        used = [r for r in index.select(split).records if r.usable]
        people[split] = Counter(r.subject for r in used if r.subject)
        several = [count for count in people[split].values() if count > 1]
        print(
            f"{split}: {people[split].total()} of {len(used)} faces, {len(people[split])} persons, "
            f"{len(several)} of them on 2 and more ({sum(several)} faces)"
        )
    first, *others = people
    for other in others:
        print(f"persons in {first} and in {other}: {len(people[first].keys() & people[other].keys())}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--output", "-o", type=Path, required=True)
    arguments = parser.parse_args()
    index = identify(DatasetIndex.read(arguments.index), arguments.collection)
    report(index)
    index.write(arguments.output)


if __name__ == "__main__":
    main()
