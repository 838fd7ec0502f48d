"""A teacher that has seen thousands of people: expressions learned by a face recogniser's network, then soft labels.

    python research/face_teacher.py train --package human-models-3.0.4.tgz --data ferplus.parquet raf.parquet \
      --output teacher.pt
    python research/face_teacher.py train ... --side 160 --frozen 11 --unchanged --epochs 3 --output other.pt
    python research/face_teacher.py soften --package human-models-3.0.4.tgz --data ferplus.parquet raf.parquet \
      --teachers teacher.pt other.pt --beside edge.safetensors --share 0.5 --output soft

`train`: VGGFace2's MobileNet (`vggface.py`), all but its first `--frozen` blocks, learns the votes of split `train` in
crops of the luminance, changed at random unless `--unchanged`; the teacher is the average of its weights over the
steps, and what it says of `valid` after each epoch is printed. `soften` writes every index into `--output` with
training votes of `1 - share` times their own and `share` times the mean of what the teachers and the network `--beside`
them see.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from soft_labels import mixed, probabilities, report
from torch import Tensor, nn
from torch.utils.data import DataLoader
from vggface import BLOCKS, FEATURES, VggFace, luminance

from aue_crl_core.checkpoint import load_network
from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.transforms import Augmentation
from aue_crl_core.training.loop import autocast
from aue_crl_core.training.weights.ema import WeightAverage

_CLASSES: Final = 7
_AUGMENTATION: Final = Augmentation(rotation_deg=15, scale=0.15, grey=0, soften=0.4, erase=0.35, dim=0.05)
_SMOOTHING: Final = 0.05
_LOGIT_ADJUSTMENT: Final = 0.25
_AVERAGING: Final = 0.998


class Teacher(nn.Module):
    """The trunk and a classifier: luminance BxSxS -> logits Bx7.

    `side` is S; the first `frozen` blocks stay as they are (they cost most, and see edges).
    """

    def __init__(self, package: Path, side: int, frozen: int) -> None:
        super().__init__()
        self.side, self.frozen = side, frozen
        self.trunk = VggFace(package)
        self.trunk.normalise(frozen)
        self.classify = nn.Sequential(nn.BatchNorm1d(FEATURES), nn.Dropout(0.3), nn.Linear(FEATURES, _CLASSES))

    def forward(self, grey: Tensor) -> Tensor:
        """See the class."""
        with torch.no_grad():
            maps = self.trunk.begin(grey, self.frozen)
        return self.classify(self.trunk.between(maps, self.frozen, BLOCKS).mean((2, 3)))

    def learned(self) -> list[dict[str, object]]:
        """Parameter groups: the trunk behind the frozen blocks, and the classifier, which learns twice as fast."""
        trunk = [p for block in list(self.trunk.blocks)[self.frozen :] for p in block.parameters()]
        return [{"params": trunk}, {"params": list(self.classify.parameters())}]

    def write(self, path: Path) -> None:
        """For `read_teacher`."""
        torch.save({"side": self.side, "frozen": self.frozen, "state": self.state_dict()}, path)


def read_teacher(package: Path, path: Path) -> Teacher:
    """What `Teacher.write` wrote."""
    held = torch.load(path, weights_only=True)
    teacher = Teacher(package, held["side"], held["frozen"])
    teacher.load_state_dict(held["state"])
    return teacher.to(memory_format=torch.channels_last)


def labelled(index: DatasetIndex) -> list[Record]:
    """The records that can be learned from."""
    return [r for r in index.records if r.learnable]


@torch.inference_mode()
def seen(teacher: Teacher, index: DatasetIndex) -> NDArray[np.float32]:
    """The mean of the probabilities of a face and of its mirror image, Nx7, of the usable, labelled faces in order."""
    teacher.eval()
    both = []
    for sample in DataLoader(FaceDataset([index], Preprocessing(input_size=teacher.side)), 128, num_workers=1):
        grey = luminance(sample.image)
        both.append((teacher(grey).softmax(1) + teacher(grey.flip(2)).softmax(1)) / 2)
    return torch.cat(both).numpy()


def train(arguments: argparse.Namespace, indices: Sequence[DatasetIndex]) -> None:
    """See the module."""
    torch.manual_seed(0)
    augmentation = None if arguments.unchanged else _AUGMENTATION
    parts = [index.select("train") for index in indices]
    faces = FaceDataset(parts, Preprocessing(input_size=arguments.side), augmentation)
    teacher = Teacher(arguments.package, arguments.side, arguments.frozen).to(memory_format=torch.channels_last)
    some = torch.stack([faces[n].image for n in range(0, len(faces), max(1, len(faces) // 960))])
    teacher.trunk.settle_on(luminance(some))
    average, steps = WeightAverage([teacher], _AVERAGING), arguments.epochs * (len(faces) // arguments.batch)
    optimizer = torch.optim.AdamW(teacher.learned(), weight_decay=0.05)
    rates = [arguments.rate, 2 * arguments.rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps + 1, pct_start=0.1)
    prior = _LOGIT_ADJUSTMENT * faces.targets.mean(0).log()
    for epoch in range(arguments.epochs):
        teacher.train()
        faces.set_epoch(epoch)
        for sample in DataLoader(faces, arguments.batch, shuffle=True, drop_last=True, num_workers=1):
            target = (1 - _SMOOTHING) * sample.target + _SMOOTHING / _CLASSES
            with autocast("cpu", "auto"):
                logits = teacher(luminance(sample.image)).float()
            loss = -(target * (logits + prior).log_softmax(1)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            average.update()
        with average.applied():
            teacher.write(arguments.output)
            for index in indices:
                part = index.select("valid")
                report(f"epoch {epoch + 1}, {index.layout}", seen(teacher, part), labelled(part))


def soften(arguments: argparse.Namespace, indices: Sequence[DatasetIndex]) -> None:
    """See the module."""
    teachers = [read_teacher(arguments.package, path) for path in arguments.teachers]
    beside = load_network(arguments.beside)[0].eval()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for path, index in zip(arguments.data, indices, strict=True):
        both: dict[str, NDArray[np.float32]] = {}
        for split in ("valid", "train"):
            part = index.select(split)
            records = labelled(part)
            says = [seen(teacher, part) for teacher in teachers]
            says.append(probabilities(beside, part))
            for name, one in zip([*map(str, arguments.teachers), str(arguments.beside)], says, strict=True):
                report(f"{index.layout} {split}, {name}", one, records)
            mean = np.mean(says, axis=0)
            report(f"{index.layout} {split}, all", mean, records)
            both = {record.image: row for record, row in zip(records, mean, strict=True)}
        mixed(index, both, arguments.share).write(arguments.output / path.name)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "soften"):
        command = commands.add_parser(name)
        command.add_argument("--package", type=Path, required=True)
        command.add_argument("--data", type=Path, nargs="+", required=True)
        command.add_argument("--output", type=Path, required=True)
    commands.choices["train"].add_argument("--epochs", type=int, default=4)
    commands.choices["train"].add_argument("--rate", type=float, default=1e-3)
    commands.choices["train"].add_argument("--batch", type=int, default=96)
    commands.choices["train"].add_argument("--side", type=int, default=128)
    commands.choices["train"].add_argument("--frozen", type=int, default=3)
    commands.choices["train"].add_argument("--unchanged", action="store_true")
    commands.choices["soften"].add_argument("--teachers", type=Path, nargs="+", required=True)
    commands.choices["soften"].add_argument("--beside", type=Path, required=True)
    commands.choices["soften"].add_argument("--share", type=float, default=0.5)
    arguments = parser.parse_args()
    indices = [DatasetIndex.read(path) for path in arguments.data]
    {"train": train, "soften": soften}[arguments.command](arguments, indices)


if __name__ == "__main__":
    main()
