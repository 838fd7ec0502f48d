"""Makes `weights/detector.onnx`, the face detector of this project's own: any roll, 0.1 M parameters. How it was made,
and what it finds, is in `research/README.md`.

    python research/own_detector.py teach PICTURES --but SCENES/images --output people
    python research/own_detector.py train --faces raf.parquet ferplus.parquet --empty no_faces.parquet --people people \
        --minutes 60 --output detector

Anchor-free, strides 8, 16 and 32: a cell says whether the middle of a face lies in it, where exactly, how large the
face is (the longer side of its 68 points' box) and its roll. It sees the luminance only: the faces of the training sets
are grey. Its pictures are those without people, with faces or pictures of people pasted in at every size and, in a
half, at every roll; the places that YuNet takes for faces in them are the hard negatives: crops are made around them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from own_detector_pictures import Scenes, taught, teach
from sealed_onnx import write_sealed
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.layouts.no_faces import NAME as NO_FACES
from aue_crl_core.faces.detection.own import STRIDES

LIMITS: Final = (0, 36, 90, 10_000)
"""A face is learned at the stride between whose limits its side lies, pixels."""


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(True),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(True),
    )


class DetectorNet(nn.Module):
    """forward: uint8 or float Bx1xHxW luminance in [0, 255], sides multiples of 32 -> float32 Bx6xH/sxW/s for each
    stride: face logit; x and y of the middle from the cell's, and log of the side, in strides; cosine and sine of the
    roll."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.to4 = nn.Sequential(nn.Conv2d(1, 32, 7, 4, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU(True))
        self.to8 = nn.Sequential(_conv(32, width, 2), _conv(width, width, 1))
        self.to16 = nn.Sequential(_conv(width, width, 2), _conv(width, width, 1), _conv(width, width, 1))
        self.to32 = nn.Sequential(_conv(width, width, 2), *(_conv(width, width, 1) for _ in range(4)))
        self.merge = nn.ModuleList(_conv(width, width, 1) for _ in range(2))
        self.heads = nn.ModuleList(nn.Sequential(_conv(width, width, 1), nn.Conv2d(width, 6, 1)) for _ in STRIDES)
        for head in self.heads:
            nn.init.constant_(head[1].bias[:1], -4.0)

    def forward(self, grey: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        at8 = self.to8(self.to4(grey.float() / 64 - 2))
        at16 = self.to16(at8)
        at32 = self.to32(at16)
        at16 = self.merge[1](at16 + F.interpolate(at32, scale_factor=2.0, mode="nearest"))
        at8 = self.merge[0](at8 + F.interpolate(at16, scale_factor=2.0, mode="nearest"))
        return tuple(head(level) for head, level in zip(self.heads, (at8, at16, at32), strict=True))


def loss(outputs: tuple[Tensor, ...], faces: Tensor) -> tuple[Tensor, Tensor]:
    """Focal loss of the scores, and the distance of places, sides and rolls, both a face."""
    scores, places = outputs[0].new_zeros(()), outputs[0].new_zeros(())
    count = (faces[..., 2] > 0).sum().clamp(min=1)
    for stride, low, high, out in zip(STRIDES, LIMITS, LIMITS[1:], outputs, strict=False):
        rows, columns = out.shape[2:]
        y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
        x0, y0, side, roll = (faces[..., i, None, None] for i in range(4))
        dx, dy = x0 / stride - x, y0 / stride - y
        near = (dx.abs().maximum(dy.abs()) < (0.18 * side / stride).clamp(min=0.75)) & (side > 0)
        ignored = (dx.hypot(dy) < 0.45 * side / stride) & (side > 0)
        mine = near & (side >= low) & (side < high)
        tiny = (ignored & (side < 16)).any(dim=1)
        target = mine.any(dim=1)
        between = ignored.any(dim=1) & ~target
        unsure = ((dx.hypot(dy) < -0.6 * side / stride) & (side < 0)).any(dim=1) & ~target
        logit = out[:, 0]
        p = logit.sigmoid()
        focal = torch.where(target, (1 - p) ** 2 * F.softplus(-logit), 0.75 * p**2 * F.softplus(logit))
        focal = torch.where(between, focal * 0.2, focal) * ~(tiny | unsure)
        scores = scores + focal.sum() / (4 * count)
        if target.any():
            which = mine.float().argmax(dim=1)
            chosen = [torch.gather(v.expand(-1, -1, rows, columns), 1, which[:, None])[:, 0] for v in (dx, dy, side)]
            angle = torch.gather(roll.expand(-1, -1, rows, columns), 1, which[:, None])[:, 0]
            relative = (chosen[2].clamp(min=1) / stride)[target]
            error = (out[:, 1][target] - chosen[0][target]).abs() / relative
            error = error + (out[:, 2][target] - chosen[1][target]).abs() / relative
            error = error + (out[:, 3][target] - relative.log()).abs()
            error = error + (out[:, 4][target] - angle[target].cos()) ** 2  # squares: rolls far from upright are rare
            error = error + (out[:, 5][target] - angle[target].sin()) ** 2
            places = places + error.sum() / (4 * count)
    return scores, places


def train(chosen: argparse.Namespace) -> None:
    """So many minutes of AdamW, the rate a cosine over them, to nothing: no mean of weights is needed then."""
    chosen.output.mkdir(parents=True, exist_ok=True)
    empty = DatasetIndex.read(chosen.empty)
    if empty.layout != NO_FACES:
        raise SystemExit(f"--empty must be an index of layout {NO_FACES}, got {empty.layout}")
    people = [row for folder in chosen.people for row in taught(folder)]
    data = Scenes([DatasetIndex.read(p) for p in chosen.faces], empty, people, 1 << 24, chosen.seed)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)  # one for the network, one for the pictures: more only wait for each other
    loader = DataLoader(data, 32, num_workers=1, prefetch_factor=8)
    torch.manual_seed(chosen.seed)
    network = DetectorNet().to(memory_format=torch.channels_last)
    if chosen.start is not None:
        network.load_state_dict(torch.load(chosen.start))
    print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.3f} M parameters")
    optimiser = torch.optim.AdamW(network.parameters(), chosen.rate, weight_decay=1e-3)
    began, shown, parts = time.monotonic(), 0.0, []
    for step, (images, faces) in enumerate(loader):
        done = (time.monotonic() - began) / (60 * chosen.minutes)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = chosen.rate * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * done))
        score, place = loss(network(images), faces)
        optimiser.zero_grad()
        (score + place).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        parts.append((float(score.detach()), float(place.detach())))
        if time.monotonic() - shown > 60:
            print(f"{done:.0%} step {step} score, place {np.mean(parts, axis=0).round(3)}", flush=True)
            shown, parts = time.monotonic(), []
            save(network, chosen.output)
    save(network, chosen.output)


def save(network: DetectorNet, folder: Path) -> None:
    """To go on with (`--start`), and to run."""
    torch.save(network.state_dict(), folder / "state.pt")
    write(network, folder / "detector.onnx")


def write(network: DetectorNet, path: Path) -> None:
    """As ONNX, any image size, with a hash of itself."""
    axes = {"grey": {2: "h", 3: "w"}, **{f"at{s}": {2: f"h{s}", 3: f"w{s}"} for s in STRIDES}}
    write_sealed(network, torch.zeros(1, 1, 320, 320), path, [f"at{s}" for s in STRIDES], axes)


def main() -> None:
    """`teach` or `train`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    trains = commands.add_parser("train")
    trains.add_argument("--faces", type=Path, nargs="+", required=True)
    trains.add_argument("--empty", type=Path, required=True)
    trains.add_argument("--people", type=Path, nargs="*", default=[], help="folders that `teach` wrote")
    trains.add_argument("--start", type=Path, help="a state.pt to go on with")
    trains.add_argument("--rate", type=float, default=3e-3)
    trains.add_argument("--minutes", type=float, default=60)
    trains.add_argument("--seed", type=int, default=0)
    trains.add_argument("--output", type=Path, required=True)
    trains.set_defaults(run=train)
    teaches = commands.add_parser("teach", help="have YuNet and the landmark net look at pictures of people")
    teaches.add_argument("pictures", type=Path)
    teaches.add_argument("--but", type=Path, help="leave out pictures that are in this folder")
    teaches.add_argument("--workers", type=int, default=2)
    teaches.add_argument("--output", type=Path, required=True)
    teaches.set_defaults(run=teach)
    chosen = parser.parse_args()
    chosen.run(chosen)


if __name__ == "__main__":
    main()
