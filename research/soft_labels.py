"""An index whose training labels are softened by what trained networks see: a student learns from its teachers.

    python research/soft_labels.py --data ferplus.parquet --teachers A.safetensors B.safetensors --output soft.parquet

Each usable, labelled face of split `train` gets as votes `1 - share` times its own votes (or label) and `share` times
the mean of the teachers' fused probabilities over the face and its mirror image. Other splits stay as they are; the
teachers' figures on `valid` are printed. Source: Hinton, Vinyals & Dean, *Distilling the Knowledge in a Neural Network*
(2015), at a temperature of 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from aue_crl_core.checkpoint import load_network
from aue_crl_core.data.dataset import FaceDataset, label_distribution
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training.loop import normalise


@torch.inference_mode()
def probabilities(
    network: AueCrl, index: DatasetIndex, head: Literal["fused", "expression"] = "fused"
) -> NDArray[np.float32]:
    """One head's probabilities of the usable, labelled faces of `index` in order, NxC; on the network's device."""
    loader = DataLoader(FaceDataset([index], network.config.preprocessing), batch_size=128)
    see = network.expression_only if head == "expression" else lambda images: network(images).fused_logits
    device = next(network.parameters()).device
    rows = []
    for sample in loader:
        images = normalise(sample.image.to(device), network.config.preprocessing)
        rows.append((see(images).softmax(1) + see(images.flip(3)).softmax(1)).cpu() / 2)
    return torch.cat(rows).numpy()


def soften(index: DatasetIndex, teachers: list[AueCrl], share: float) -> DatasetIndex:
    """`index` with its training votes softened."""
    softened: dict[str, NDArray[np.float32]] = {}
    for split in ("valid", "train"):
        part = index.select(split)
        records = [r for r in part.records if r.learnable]
        if not records:
            continue
        seen = np.mean([probabilities(network, part) for network in teachers], axis=0)
        report(split, seen, records)
        if split == "train":
            softened = dict(zip((r.image for r in records), seen, strict=True))
    return mixed(index, softened, share)


def mixed(index: DatasetIndex, seen: Mapping[str, NDArray[np.float32]], share: float) -> DatasetIndex:
    """`index` with the votes of its training records moved by `share` towards what was `seen` (image -> C)."""
    classes = len(index.classes)

    def moved(record: Record) -> Record:
        if record.split != "train" or record.image not in seen:
            return record
        votes = (1 - share) * np.array(label_distribution(record, classes)) + share * seen[record.image]
        return replace(record, votes=tuple(votes.tolist()))

    return replace(index, records=tuple(map(moved, index.records)))


def report(what: str, seen: NDArray[np.float32], records: Sequence[Record]) -> None:
    """How the teachers agree with the labels."""
    labels = np.array([r.label for r in records])
    right = seen.argmax(1) == labels
    recalls = [right[labels == c].mean() for c in np.unique(labels)]
    print(f"{what}: {len(labels)} faces, teachers' accuracy {right.mean():.3f}, mean class {np.mean(recalls):.3f}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, nargs="+", required=True)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    teachers = [load_network(path)[0].eval() for path in arguments.teachers]
    soften(DatasetIndex.read(arguments.data), teachers, arguments.share).write(arguments.output)


if __name__ == "__main__":
    main()
