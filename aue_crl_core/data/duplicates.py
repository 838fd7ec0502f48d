"""The same picture in several files, perhaps on both sides of a split: found by content."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.hashing import file_sha256

Duplicates = tuple[tuple[Record, ...], ...]
"""Of every picture that several files hold, one record of each file."""

_HOMES: Final = ("test", "valid")
"""The splits that a picture is kept in first."""


def find_duplicates(index: DatasetIndex) -> Duplicates:
    """The usable images whose files have the same bytes, in the order of the index."""
    files: dict[str, Record] = {}
    for record in index.records:
        if record.usable:
            files.setdefault(record.image, record)
    sizes: defaultdict[int, list[Record]] = defaultdict(list)
    for record in files.values():
        sizes[index.path(record).stat().st_size].append(record)
    same: defaultdict[str, list[Record]] = defaultdict(list)
    for records in sizes.values():
        for record in records if len(records) > 1 else ():
            same[file_sha256(index.path(record))].append(record)
    return tuple(tuple(records) for records in same.values() if len(records) > 1)


def without_copies(index: DatasetIndex, duplicates: Duplicates) -> DatasetIndex:
    """The index with every picture in one split only: usable in `test` before `valid` before the others."""
    reasons = {copy.image: f"the same picture is in the split {home!r}" for copy, home in _copies(duplicates)}
    records = (
        dataclasses.replace(r, usable=False, reason=reasons[r.image]) if r.image in reasons else r
        for r in index.records
    )
    return dataclasses.replace(index, records=tuple(records))


def describe(duplicates: Duplicates) -> str:
    """How many there are, how many of them across splits and with several labels; one line."""
    across = Counter((copy.split, home) for copy, home in _copies(duplicates))
    parts = [f"{count} of {split!r} also in {home!r}" for (split, home), count in across.most_common()]
    labels = sum(len({record.label for record in records}) > 1 for records in duplicates)
    parts = [*(parts or ["none in two splits"]), *([f"{labels} with more than one label"] if labels else [])]
    files = sum(map(len, duplicates))
    return f"pictures that are there more than once: {len(duplicates)}, as {files} files ({', '.join(parts)})"


def _copies(duplicates: Duplicates) -> Iterator[tuple[Record, str]]:
    """The records that are not in the split where their picture is kept, and that split."""
    for records in duplicates:
        home = _home(records)
        yield from ((record, home) for record in records if record.split != home)


def _home(records: Sequence[Record]) -> str:
    splits = [record.split for record in records]
    return next((split for split in _HOMES if split in splits), splits[0])
