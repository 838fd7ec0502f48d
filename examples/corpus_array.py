#!/usr/bin/env python3
# SBATCH --array=0-99
# SBATCH --cpus-per-task=8
# SBATCH --mem-per-cpu=1G
"""A SLURM job array over a corpus: sbatch corpus_array.py FILMS OUT. Each task reads its share of the films, a film a
processor; submitted again, the array reads only what is missing. Both folders are shared by the hosts."""

from __future__ import annotations

import os
import sys

from aue_crl_core.corpus.part import CorpusSettings
from aue_crl_core.corpus.workers import process_files
from aue_crl_core.media.reading.sources import resolve_sources


def main(films: str, out_dir: str) -> int:
    """Read this task's share; 1 where a film could not be read."""
    task, tasks = (
        int(os.environ.get(f"SLURM_ARRAY_TASK_{name}", default)) for name, default in (("ID", 0), ("COUNT", 1))
    )
    sources, _ = resolve_sources([films])
    share = [source.name for source in sources][task::tasks]
    failed = 0
    for outcome in process_files(share, CorpusSettings(), out_dir, int(os.environ.get("SLURM_CPUS_PER_TASK", 1))):
        failed += bool(outcome.problem)
        print(f"{outcome.source}: {outcome.frames} frames, {outcome.faces} faces {outcome.problem}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
