"""A face detector of this project's own: any roll, no download, 0.1 M parameters. A try; what it reached is in
`research/README.md`.

    python research/own_detector.py train --faces raf.parquet ferplus.parquet --empty no_faces.parquet --minutes 60 \
        --output detector
    python research/own_detector.py measure detector/detector.onnx --photos raf.parquet --scenes SCENES --empty FRAMES

Anchor-free, strides 8, 16 and 32: a cell says whether the middle of a face lies in it, where exactly, how large the
face is (the longer side of its 68 points' box) and its roll. It sees the luminance only: the faces of the training sets
are grey. Its pictures are those without people, with faces pasted in at every size and, in a third, at every roll; the
places that YuNet takes for faces in them are the hard negatives: crops are made around them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.layouts.no_faces import NAME as NO_FACES
from aue_crl_core.data.transforms import masked
from aue_crl_core.faces.crop import apply
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX, check_image, ordered, resized, smallest_face
from aue_crl_core.faces.pose import head_pose
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.onnx_session import make_session
from aue_crl_core.types import FaceBox, Image

STRIDES: Final = (8, 16, 32)
LIMITS: Final = (0, 36, 90, 10_000)
"""A face is learned at the stride between whose limits its side lies, pixels."""
SIDE: Final = 320
_MOST_FACES: Final = 5
_LUMINANCE: Final = (0.299, 0.587, 0.114)
Grey = NDArray[np.uint8]
"""HxW uint8, 0 to 255."""


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
    """forward: uint8 or float Bx3xHxW RGB in [0, 255], sides multiples of 32 -> float32 Bx6xH/sxW/s for each stride:
    face logit; x and y of the middle from the cell's, and log of the side, in strides; cosine and sine of the roll."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True))
        self.to4 = _conv(16, 32, 2)
        self.to8 = nn.Sequential(_conv(32, width, 2), _conv(width, width, 1))
        self.to16 = nn.Sequential(_conv(width, width, 2), _conv(width, width, 1), _conv(width, width, 1))
        self.to32 = nn.Sequential(_conv(width, width, 2), *(_conv(width, width, 1) for _ in range(4)))
        self.merge = nn.ModuleList(_conv(width, width, 1) for _ in range(2))
        self.heads = nn.ModuleList(nn.Sequential(_conv(width, width, 1), nn.Conv2d(width, 6, 1)) for _ in STRIDES)
        for head in self.heads:
            nn.init.constant_(head[1].bias[:1], -4.0)
        self.register_buffer("luminance", torch.tensor(_LUMINANCE).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        grey = (images.float() * self.luminance).sum(dim=1, keepdim=True) / 64 - 2
        at8 = self.to8(self.to4(self.stem(grey)))
        at16 = self.to16(at8)
        at32 = self.to32(at16)
        at16 = self.merge[1](at16 + F.interpolate(at32, scale_factor=2.0, mode="nearest"))
        at8 = self.merge[0](at8 + F.interpolate(at16, scale_factor=2.0, mode="nearest"))
        return tuple(head(level) for head, level in zip(self.heads, (at8, at16, at32), strict=True))


class Scenes(Dataset[tuple[Tensor, Tensor]]):
    """Endless pictures uint8 1xSxS, luminance, and their faces `_MOST_FACES`x4: middle x, y, side (pixels; 0: none) and
    roll."""

    def __init__(self, faces: list[DatasetIndex], empty: DatasetIndex, length: int, seed: int) -> None:
        rows = [(i, r) for i in faces for r in i.select("train").records if r.usable and r.points is not None]
        self._large = [row for row in rows if np.ptp(row[1].points, axis=0).max() > 60]
        self._small = [row for row in rows if np.ptp(row[1].points, axis=0).max() <= 60]
        self._empty = (empty, [r for r in empty.select("train").records if r.usable])
        self._length, self._seed = length, seed

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, number))
        image, faces = self._behind(rng), np.zeros((_MOST_FACES, 4), np.float32)
        wanted = rng.choice(_MOST_FACES + 1, p=(0.25, 0.4, 0.15, 0.1, 0.05, 0.05))
        for place in range(wanted):
            side = float(np.exp(rng.uniform(np.log(14), np.log(60 if wanted > 1 and place else 300))))
            image, faces[place] = self._pasted(image, side, [f for f in faces if f[2] > 0], rng)
        image = _as_seen(image, rng)
        return torch.from_numpy(image[None]), torch.from_numpy(faces)

    def _behind(self, rng: np.random.Generator) -> Grey:
        """A crop of a picture without people; often where YuNet is wrong."""
        index, records = self._empty
        record = records[rng.integers(len(records))]
        image = _luminance(load_image(index.path(record)))
        height, width = image.shape[:2]
        if record.box is not None and rng.random() < 0.7:
            wanted = float(np.exp(rng.uniform(np.log(20), np.log(200))))
            scale = wanted / max(record.box.w, record.box.h, 4)
            middle = np.array([record.box.x + record.box.w / 2, record.box.y + record.box.h / 2])
        else:
            scale = SIDE / min(height, width) * float(np.exp(rng.uniform(-0.4, 0.9)))
            middle = rng.uniform(0, 1, 2) * (width, height)
        at = rng.uniform(0.2, 0.8, 2) * SIDE
        shape = np.column_stack([np.eye(2) * scale, at - scale * middle])
        return _warped(image, shape, scale, cv2.BORDER_REFLECT_101)

    def _pasted(
        self, image: Grey, side: float, others: list[Any], rng: np.random.Generator
    ) -> tuple[Grey, tuple[float, float, float, float]]:
        rows = self._small if side < 50 and rng.random() < 0.3 and self._small else self._large
        index, record = rows[rng.integers(len(rows))]
        face, points = load_image(index.path(record)), record.points.astype(np.float64)
        if rng.random() < 0.15:
            face = masked(face, record.points, rng)
        face = _luminance(face)
        if rng.random() < 0.5:
            face, points = face[:, ::-1], points * (-1, 1) + (face.shape[1] - 1, 0)
        roll = rng.uniform(-np.pi, np.pi) if rng.random() < 0.35 else rng.normal(0, 0.25)
        low, high = points.min(axis=0), points.max(axis=0)
        extent = float((high - low).max())
        scale = side / extent
        turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        edge = min(0.3 * side, 40)
        at = rng.uniform(edge, SIDE - edge, 2)
        for other in others:
            if np.hypot(*(at - other[:2])) < 0.9 * (side + other[2]) / 2:
                return image, (0.0, 0.0, 0.0, 0.0)
        shape = np.column_stack([turn, at - turn @ ((low + high) / 2)])
        there = _warped(face, shape, scale, cv2.BORDER_REPLICATE)
        cover = cv2.warpAffine(_cover(face, low, high, extent, rng), shape, (SIDE, SIDE)).astype(np.float32) / 255
        cover = cv2.GaussianBlur(cover, (0, 0), max(0.3, side * rng.uniform(0.01, 0.1)))
        points = apply(shape, points)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        own_roll = head_pose(record.points).roll
        told = roll + (own_roll if np.isfinite(own_roll) else 0.0) * (1 if face.strides[1] > 0 else -1)
        mixed = there * cover + image * (1 - cover)
        return mixed.astype(np.uint8), (*middle, float(np.ptp(points, axis=0).max()), told)


def _warped(image: Grey, shape: np.ndarray, scale: float, border: int) -> Grey:
    if scale < 0.9:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / scale)
    return cv2.warpAffine(np.ascontiguousarray(image), shape, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=border)


def _luminance(image: Image) -> Grey:
    """HxWx3 uint8 RGB -> HxW uint8."""
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)


def _cover(face: Grey, low: Any, high: Any, extent: float, rng: np.random.Generator) -> Grey:
    """What of the picture is pasted: all of it, or an ellipse around head and neck."""
    cover = np.zeros(face.shape[:2], np.uint8)
    if rng.random() < 0.35:
        cover[:] = 255
        return cover
    middle = (low + high) / 2 - (0, 0.12 * extent)
    axes = extent * rng.uniform(0.62, 1.0), extent * rng.uniform(0.8, 1.2)
    cv2.ellipse(cover, (tuple(map(float, middle)), (2 * axes[0], 2 * axes[1]), 0.0), 255, -1)
    return cover


def _as_seen(image: Grey, rng: np.random.Generator) -> Grey:
    """Through a camera: light, darkness and noise, blur, compression."""
    picture = image.astype(np.float32)
    if rng.random() < 0.7:
        picture = 255 * (picture / 255) ** np.exp(rng.normal(0, 0.25)) * rng.uniform(0.75, 1.25) + rng.uniform(-20, 20)
    if rng.random() < 0.15:
        picture = picture * np.exp(rng.uniform(np.log(0.06), np.log(0.5)))
        picture += rng.normal(0, 1, picture.shape) * np.sqrt(2 + 0.3 * np.clip(picture, 0, 255))
        picture *= min(12.0, 100 / max(float(picture.mean()), 1.0))
    if rng.random() < 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2))
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.uniform(30, 90))
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
    return picture


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
        logit = out[:, 0]
        p = logit.sigmoid()
        focal = torch.where(target, (1 - p) ** 2 * F.softplus(-logit), 0.75 * p**2 * F.softplus(logit))
        focal = torch.where(between, focal * 0.2, focal) * ~tiny
        scores = scores + focal.sum() / (4 * count)
        if target.any():
            which = mine.float().argmax(dim=1)
            chosen = [torch.gather(v.expand(-1, -1, rows, columns), 1, which[:, None])[:, 0] for v in (dx, dy, side)]
            angle = torch.gather(roll.expand(-1, -1, rows, columns), 1, which[:, None])[:, 0]
            relative = (chosen[2].clamp(min=1) / stride)[target]
            error = (out[:, 1][target] - chosen[0][target]).abs() / relative
            error = error + (out[:, 2][target] - chosen[1][target]).abs() / relative
            error = error + (out[:, 3][target] - relative.log()).abs()
            error = error + 0.3 * ((out[:, 4][target] - angle[target].cos()).abs())
            error = error + 0.3 * ((out[:, 5][target] - angle[target].sin()).abs())
            places = places + error.sum() / (4 * count)
    return scores, places


def train(chosen: argparse.Namespace) -> None:
    """So many minutes of AdamW, the rate a cosine over them, to nothing: no mean of weights is needed then."""
    chosen.output.mkdir(parents=True, exist_ok=True)
    empty = DatasetIndex.read(chosen.empty)
    if empty.layout != NO_FACES:
        raise SystemExit(f"--empty must be an index of layout {NO_FACES}, got {empty.layout}")
    data = Scenes([DatasetIndex.read(p) for p in chosen.faces], empty, 1 << 24, chosen.seed)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)  # one for the network, one for the pictures: more only wait for each other
    loader = DataLoader(data, 32, num_workers=1, prefetch_factor=8)
    torch.manual_seed(chosen.seed)
    network = DetectorNet().to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.3f} M parameters")
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-3)
    began, shown, parts = time.monotonic(), 0.0, []
    for step, (images, faces) in enumerate(loader):
        done = (time.monotonic() - began) / (60 * chosen.minutes)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * done))
        images = images.expand(-1, 3, -1, -1)
        score, place = loss(network(images), faces)
        optimiser.zero_grad()
        (score + place).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        parts.append((float(score.detach()), float(place.detach())))
        if time.monotonic() - shown > 60:
            print(f"{done:.0%} step {step} score, place {np.mean(parts, axis=0).round(3)}", flush=True)
            shown, parts = time.monotonic(), []
            write(network, chosen.output / "detector.onnx")
    write(network, chosen.output / "detector.onnx")


def write(network: DetectorNet, path: Path) -> None:
    """As ONNX, any image size."""
    legacy = {"dynamo": False}
    axes = {"images": {2: "h", 3: "w"}, **{f"at{s}": {2: f"h{s}", 3: f"w{s}"} for s in STRIDES}}
    names = [f"at{s}" for s in STRIDES]
    was = network.training
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 3, 320, 320),),
        str(path),
        input_names=["images"],
        output_names=names,
        dynamic_axes=axes,
        **legacy,
    )
    network.train(was)


class OwnDetector:
    """A `FaceDetector` over the file that `write` wrote."""

    name = "own"
    turned_looks = False

    def __init__(self, path: Path, threshold: float = 0.4, work_px: int = 640) -> None:
        self._session = make_session(path, threads=1)
        self._threshold, self._work_px = threshold, work_px

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        check_image(image)
        long = max(image.shape[:2])
        boxes = self._look(image, min(1.0, self._work_px / long), 0)
        if not boxes:
            boxes = self._look(image, min(1.0, 240 / long), 60)
        least = smallest_face(image, DEFAULT_MIN_FACE_PX) * 0.8
        return ordered(box for box in boxes if box.w >= least)

    def _look(self, image: Image, scale: float, border: int) -> list[FaceBox]:
        small = resized(image, scale)
        if border:
            small = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        mean = float(small.mean())
        if mean < 60:
            small = cv2.convertScaleAbs(cv2.GaussianBlur(small, (0, 0), 1.0), alpha=min(12.0, 100 / max(mean, 1.0)))
        height, width = small.shape[:2]
        padded = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
        padded[0, :, :height, :width] = small.transpose(2, 0, 1)
        found = []
        for stride, out in zip(STRIDES, self._session.run(None, {"images": padded}), strict=True):
            score = 1 / (1 + np.exp(-out[0, 0]))
            rows, columns = np.nonzero(score > self._threshold)
            dx, dy, log_side, cosine, sine = out[0, 1:, rows, columns].T
            x, y, side = (columns + 0.5 + dx) * stride, (rows + 0.5 + dy) * stride, np.exp(log_side) * stride
            found += zip(x, y, side, score[rows, columns], np.arctan2(sine, cosine), strict=True)
        if not found:
            return []
        table = np.array(found)
        squares = np.column_stack(
            [table[:, 0] - table[:, 2] / 2, table[:, 1] - table[:, 2] / 2, table[:, 2:3] * [1, 1]]
        )
        kept = np.asarray(cv2.dnn.NMSBoxes(squares.tolist(), table[:, 3].tolist(), 0.0, 0.3)).reshape(-1)
        return [
            FaceBox(
                *((squares[i, :2] - border) / scale).tolist(),
                *(squares[i, 2:] / scale).tolist(),
                score=float(table[i, 3]),
                roll=float(table[i, 4]),
            )
            for i in kept
        ]


def measure(chosen: argparse.Namespace) -> None:
    """The rows of `benchmarks/detection.py`, beside YuNet's."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    import detection as bench

    bench.finders_of_own = OwnDetector(chosen.model, chosen.threshold)
    ours = bench.finders

    def finders(names: Any, weights: str) -> dict[str, Any]:
        analyzer = bench.FaceAnalyzer(
            bench.make_engine(weights, threads=1), bench.finders_of_own, bench.AnalyzerConfig(max_faces=64)
        )
        through = {"own+net": lambda image: [face.box for face in analyzer.find([image])[0]]}
        return {"own": bench.finders_of_own, **through, **ours(names, weights)}

    bench.finders = finders
    sys.argv = ["detection.py", *chosen.rest]
    bench.main()


def main() -> None:
    """`train` or `measure`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    trains = commands.add_parser("train")
    trains.add_argument("--faces", type=Path, nargs="+", required=True)
    trains.add_argument("--empty", type=Path, required=True)
    trains.add_argument("--minutes", type=float, default=60)
    trains.add_argument("--seed", type=int, default=0)
    trains.add_argument("--output", type=Path, required=True)
    trains.set_defaults(run=train)
    measures = commands.add_parser("measure", help="further options are those of benchmarks/detection.py")
    measures.add_argument("model", type=Path)
    measures.add_argument("--threshold", type=float, default=0.4)
    measures.set_defaults(run=measure)
    chosen, rest = parser.parse_known_args()
    chosen.rest = rest
    chosen.run(chosen)


if __name__ == "__main__":
    main()
