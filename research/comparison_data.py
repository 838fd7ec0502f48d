"""The small data set of the comparison in docs/methods.md, from two indices.

    python research/comparison_data.py ferplus.parquet raf_ident.parquet --output DIR

FER+ (train, valid) and the photographs with their people (`identities.py`). A part of each one's training faces is
trained on, another chooses the epochs, all of a person's on one side; what is reported on is FER+'s validation part and
the photographs' test part. Writes `cmp_fer.parquet` and `cmp_raf.parquet`. Which face is where hangs on its name alone.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from aue_crl_core.data.index import DatasetIndex, Record

FER_SHARES: Final = (0.175, 0.21)
RAF_SHARES: Final = (0.45, 0.53)
"""Up to the first share a face is trained on, from there to the second it chooses the epochs."""


def chosen(index: DatasetIndex, shares: tuple[float, float], tested: str) -> DatasetIndex:
    """The usable, labelled faces of the comparison; those of the split `tested` are its test part."""
    kept = (_placed(r, shares, tested) for r in index.records if r.learnable)
    return replace(index, records=tuple(record for record in kept if record is not None))


def _placed(record: Record, shares: tuple[float, float], tested: str) -> Record | None:
    if record.split == tested:
        return replace(record, split="test")
    if record.split == "test":
        return None
    place = zlib.crc32(f"cmp|{record.subject or record.image}".encode()) / 2**32
    return replace(record, split="train" if place < shares[0] else "valid") if place < shares[1] else None


def main() -> None:
    """Write both, and print how many faces are where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ferplus", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    for name, path, shares, tested in (
        ("cmp_fer", given.ferplus, FER_SHARES, "valid"),
        ("cmp_raf", given.photographs, RAF_SHARES, "test"),
    ):
        index = chosen(DatasetIndex.read(path), shares, tested)
        index.write(given.output / f"{name}.parquet")
        print(name, dict(index.splits()))


if __name__ == "__main__":
    main()
