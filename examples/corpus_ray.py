#!/usr/bin/env python3
"""A corpus over the hosts of a Ray cluster: corpus_ray.py FILMS OUT (pip install 'aue-crl[cluster]').

A film is a task of one processor; one whose host dies is given to another. Both folders are shared by the hosts.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import ray

from aue_crl_core.corpus.part import CorpusSettings, process_file
from aue_crl_core.media.reading.sources import resolve_sources


def main(films: str, out_dir: str) -> int:
    """Read what is not read yet; 1 where a film could not be."""

    def read(row: dict[str, Any]) -> dict[str, Any]:
        return asdict(process_file(row["item"], CorpusSettings(), out_dir))

    paths = [source.name for source in resolve_sources([films])[0]]
    outcomes = ray.data.from_items(paths, override_num_blocks=len(paths)).map(read, num_cpus=1)
    failed = 0
    for outcome in outcomes.iter_rows():
        failed += bool(outcome["problem"])
        print(
            f"{outcome['source']}: {outcome['frames']} frames, {outcome['faces']} faces {outcome['problem']}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
