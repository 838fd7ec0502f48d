"""Softer training labels from networks that never saw the face: k folds, each judged by a teacher of the others.

    python research/cross_fit.py fold   --data ferplus.parquet --folds 4 --output FOLDS
    aue-crl train --stage expression --data FOLDS/0/ferplus.parquet --output FOLDS/0/run ...     (and so on, 1 2 3)
    python research/cross_fit.py soften --data ferplus.parquet --folds 4 --output FOLDS --share 0.5

`soften` writes FOLDS/NAME: each face of split `train` gets as votes `1 - share` times its own votes (or label) and
`share` times what the expression branch trained without its fold sees in it and in its mirror image. A network that
learned a face repeats that face's label, right or wrong; one that did not can doubt it. Other splits stay as they are.
Sources: Hinton, Vinyals & Dean (2015) for the softening; Wang et al., *CrossWeigh* (EMNLP 2019) for the folds.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from soft_labels import mixed, probabilities, report

from aue_crl_core.checkpoint import load_network
from aue_crl_core.data.index import DatasetIndex

HELD = "held"
"""The split of the fold that a teacher does not see."""


def fold_of(image: str, folds: int) -> int:
    """Which fold an image belongs to, by a hash of its name."""
    return zlib.crc32(image.encode()) % folds


def without_fold(index: DatasetIndex, fold: int, folds: int) -> DatasetIndex:
    """`index` with the training records of one fold moved to split `HELD`."""
    records = tuple(
        replace(r, split=HELD) if r.split == "train" and fold_of(r.image, folds) == fold else r for r in index.records
    )
    return replace(index, records=records)


def soften(index: DatasetIndex, directory: Path, folds: int, share: float, device: str) -> DatasetIndex:
    """`index` with its training votes softened by the fold's teachers under `directory`."""
    seen: dict[str, np.ndarray] = {}
    for fold in range(folds):
        network, _ = load_network(directory / str(fold) / "run" / "expression.safetensors")
        part = without_fold(index, fold, folds).select(HELD)
        names = [r.image for r in part.records if r.learnable]
        rows = probabilities(network.eval().to(device), part, head="expression")
        seen |= dict(zip(names, rows, strict=True))
    known = [r for r in index.records if r.split == "train" and r.image in seen]
    report("faces of training by teachers without them", np.array([seen[r.image] for r in known]), known)
    return mixed(index, seen, share)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("fold", "soften"))
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    for path in arguments.data:
        index = DatasetIndex.read(path)
        if arguments.action == "fold":
            for fold in range(arguments.folds):
                target = arguments.output / str(fold) / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                without_fold(index, fold, arguments.folds).write(target)
        else:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            soften(index, arguments.output, arguments.folds, arguments.share, device).write(
                arguments.output / path.name
            )


if __name__ == "__main__":
    main()
