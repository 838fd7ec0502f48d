"""Makes `weights/visibility.onnx`: whether the eyes and the mouth of a face can be seen. How it was made, and how well
it does, is in `research/README.md`.

    python research/visibility.py --faces ferplus.parquet raf.parquet --masked with_mask --bare without_mask \
        --but SCENES/images --output visibility.onnx

`--faces`: `prepare` indices of faces with points, on which covers are drawn (`covers.py`), their parts `train` and
`valid`; `--masked` and `--bare`: folders of pictures of one face with and without a mask, as the package finds and
crops them, a seventh of which is kept for validation; `--but`: pictures of a test, whose faces are left out. It sees
the luminance only, for most faces of the indices are grey.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from covers import KINDS, SIDE, Kind, covered
from numpy.typing import NDArray
from sealed_onnx import write_sealed
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.faces.crop import apply, cut, inverse, map_from_points
from aue_crl_core.faces.visibility import SIZE, as_seen
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import Image, Points

_CANONICAL: Final = Preprocessing(input_size=SIDE)
_ALIKE: Final = 0.97
"""Correlation of two faces' 16 pixels' luminance from which on they are of one picture."""
_SMALLEST: Final = 32
_HELD_OUT: Final = 7
_MOST: Final = 6500
"""Faces of the indices an epoch, drawn anew each time; the pictures twice."""


class Face(NamedTuple):
    """`crop` 96x96x3 uint8 RGB, its `points` in it; whether it wears a mask."""

    crop: Image
    points: Points
    masked: bool = False


class VisibilityNet(nn.Module):
    """N x 48 x 48 uint8 luminance to N x 2 probabilities that the eyes, and that the mouth, are visible."""

    def __init__(self) -> None:
        super().__init__()
        layers = _convolution(1, 24, 3, stride=2) + _convolution(24, 48, 3, stride=2)
        for inputs, outputs, stride in ((48, 96, 2), (96, 128, 2), (128, 128, 1)):
            layers += _convolution(inputs, inputs, 3, stride, groups=inputs) + _convolution(inputs, outputs, 1)
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(128 * (SIZE // 16) ** 2, 2)

    def logits(self, grey: Tensor) -> Tensor:
        """Before the sigmoid."""
        x = grey.float().unsqueeze(1)
        x = x - x.mean((2, 3), keepdim=True)
        x = x / ((x * x).mean((2, 3), keepdim=True) + 25).sqrt()
        return self.head(self.dropout(self.body(x).flatten(1)))

    def forward(self, grey: Tensor) -> Tensor:
        """What is exported."""
        return self.logits(grey).sigmoid()


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    weights = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [weights, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def indexed(indices: Sequence[DatasetIndex], split: str) -> list[Face]:
    """The faces of a part of the indices that have points."""
    samples = FaceDataset([index.select(split) for index in indices], _CANONICAL)
    faces = (samples[i] for i in range(len(samples)))
    return [Face(s.image.permute(1, 2, 0).numpy(), s.points.numpy()) for s in faces if bool(s.points.isfinite().all())]


def found(folder: Path, masked: bool, analyzer: FaceAnalyzer) -> list[Face]:
    """The faces of the pictures of a folder that show one, of 32 pixels and more, as the package crops them."""
    faces = []
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        image = load_image(path)
        seen = analyzer.find([image])[0]
        if len(seen) == 1 and max(seen[0].box.w, seen[0].box.h) >= _SMALLEST:
            to_image = map_from_points(seen[0].points, _CANONICAL)
            points = apply(inverse(to_image), seen[0].points).astype(np.float32)
            faces.append(Face(cut(image, to_image, SIDE), points, masked))
    return faces


def others_than(faces: Sequence[Face], folder: Path, analyzer: FaceAnalyzer) -> list[Face]:
    """The faces that are not in the pictures of a folder as well."""
    left_out = []
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        image = load_image(path)
        crops = [cut(image, map_from_points(f.points, _CANONICAL), SIDE) for f in analyzer.find([image])[0]]
        left_out += [_signature(crop) for crop in crops]
    return [face for face in faces if (np.array(left_out) @ _signature(face.crop)).max() < _ALIKE]


def _signature(crop: Image) -> NDArray[np.float64]:
    small = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (16, 16), interpolation=cv2.INTER_AREA).ravel()
    centred = small - small.mean(dtype=np.float64)
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def spoiled(rng: np.random.Generator, image: Image) -> Image:
    """As cameras and the finding of faces spoil it: place, size, blur, light, noise, compression, mirrored or not."""
    turn, scale, middle = rng.normal(0, np.deg2rad(7)), np.exp(rng.normal(0, 0.08)), np.full(2, (SIDE - 1) / 2)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = middle - linear @ middle + rng.normal(0, 2.5, 2)
    place = np.column_stack([linear, shift])
    x = cv2.warpAffine(image, place, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    if rng.random() < 0.5:
        x = np.ascontiguousarray(x[:, ::-1])
    if rng.random() < 0.35:
        side = int(rng.integers(18, 64))
        x = cv2.resize(cv2.resize(x, (side, side), interpolation=cv2.INTER_AREA), (SIDE, SIDE))
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.6:
        x = 255 * np.clip(x / 255, 0, 1) ** np.exp(rng.normal(0, 0.35))
    if rng.random() < 0.6:
        x = x * rng.uniform(0.4, 1.2) + rng.uniform(-20, 30)
    if rng.random() < 0.4:
        x = x + rng.normal(0, rng.uniform(1, 12), x.shape)
    whole = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        data = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 90))])[1]
        whole = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return whole


class Drawn(Dataset):
    """Faces with covers drawn on them, other ones each `epoch`; of masked ones nobody knows about the eyes."""

    def __init__(self, faces: Sequence[Face], pool: NDArray[np.uint8], seed: int) -> None:
        self._faces, self._pool, self._seed, self.epoch = faces, pool, seed, 0

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        rng, face = np.random.default_rng((self._seed, self.epoch, i)), self._faces[i]
        kinds: list[Kind] = list(KINDS)
        if face.masked:
            kind: Kind = "eyes" if rng.random() < 0.15 else "nothing"
        else:
            kind = kinds[rng.choice(len(kinds), p=list(KINDS.values()))]
        image, eyes, mouth = covered(rng, face.crop, face.points, self._pool, kind)
        if face.masked:
            eyes, mouth = (0.0 if eyes == 0 else np.nan), 0.0
        return as_seen(spoiled(rng, image)), np.array([eyes, mouth], np.float32)


def rates(network: VisibilityNet, grey: Tensor, visible: Tensor) -> str:
    """Of what is hidden, how much is found; of what is visible, how much is called hidden."""
    network.eval()
    with torch.no_grad():
        hidden = torch.cat([network(some) for some in grey.split(256)]) < 0.5
    network.train()
    said = []
    for part, name in enumerate(("eyes", "mouth")):
        of, seen = hidden[visible[:, part] == 0, part], hidden[visible[:, part] == 1, part]
        said.append(
            f"{name} {of.float().mean():.1%} of {len(of)} found, {seen.float().mean():.1%} of {len(seen)} wrongly"
        )
    return "; ".join(said)


def train(arguments: argparse.Namespace) -> None:
    """Make the network and write it, after each epoch."""
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    indices = [DatasetIndex.read(path) for path in arguments.faces]
    faces, checked = indexed(indices, "train"), indexed(indices, "valid")
    analyzer = FaceAnalyzer.load(threads=torch.get_num_threads(), config=AnalyzerConfig(max_faces=64))
    real = found(arguments.masked, True, analyzer) + found(arguments.bare, False, analyzer)
    real = others_than(real, arguments.but, analyzer)
    learned = [face for i, face in enumerate(real) if i % _HELD_OUT]
    kept = real[::_HELD_OUT]
    print(f"faces: {len(faces)} indexed and {len(learned)} pictures to learn, {len(checked)} and {len(kept)} to check")
    pool = np.stack([face.crop for face in faces[:: max(len(faces) // 3000, 1)]])
    drawn = [Drawn(checked, pool, 1_000_003)[i] for i in range(len(checked))]
    drawn_x, drawn_y = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
    real_x = torch.from_numpy(np.stack([as_seen(face.crop) for face in kept]))
    real_y = torch.tensor([[np.nan if face.masked else 1.0, float(not face.masked)] for face in kept])

    network = VisibilityNet()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
    steps = (min(len(faces), _MOST) + 2 * len(learned)) // arguments.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps * arguments.epochs, pct_start=0.1)
    for epoch in range(arguments.epochs):
        some = [faces[i] for i in rng.permutation(len(faces))[:_MOST]]
        data = Drawn([*some, *learned, *learned], pool, arguments.seed)
        data.epoch = epoch
        loader = DataLoader(data, arguments.batch_size, shuffle=True, drop_last=True, num_workers=arguments.workers)
        total = 0.0
        for grey, visible in loader:
            known = ~visible.isnan()
            target = torch.where(known, visible, 0.0) * 0.96 + 0.02
            each = F.binary_cross_entropy_with_logits(network.logits(grey), target, reduction="none")
            loss = each[known].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) / steps
        said = f"drawn: {rates(network, drawn_x, drawn_y)} | pictures: {rates(network, real_x, real_y)}"
        print(f"epoch {epoch + 1}: loss {total:.3f} | {said}", flush=True)
        write(network, arguments.output)


def write(network: VisibilityNet, path: Path) -> None:
    """As ONNX, any number of faces, with a hash of itself."""
    axes = {name: {0: "faces"} for name in ("grey", "visible")}
    write_sealed(network, torch.zeros(1, SIZE, SIZE, dtype=torch.uint8), path, ["visible"], axes)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, nargs="+", required=True)
    parser.add_argument("--masked", type=Path, required=True)
    parser.add_argument("--bare", type=Path, required=True)
    parser.add_argument("--but", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", "-o", type=Path, required=True)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
