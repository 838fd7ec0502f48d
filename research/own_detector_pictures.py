"""The pictures that `own_detector.py` learns from, and what YuNet and the landmark net say of pictures of people."""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.transforms import masked
from aue_crl_core.errors import AueCrlError
from aue_crl_core.faces.crop import apply
from aue_crl_core.faces.pose import head_pose
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import Image, Points

SIDE: Final = 256
_MOST_FACES: Final = 16
_TILES: Final = 3
_LONG_PX: Final = 640
_SAME_BITS: Final = 40
"""Of the 256 of two pictures' difference hashes at most so many are different where they are the same picture."""
Grey = NDArray[np.uint8]
"""HxW uint8, 0 to 255."""
Floats = NDArray[np.float64]


class Scenes(Dataset[tuple[Tensor, Tensor]]):
    """Endless pictures uint8 1xSxS, luminance, and their faces `_MOST_FACES`x4: middle x, y, side (pixels; 0: none,
    below 0: there may be one) and roll.

    `people` are pictures of people with what `teach` found in them; `empty` are what is behind everything.
    """

    def __init__(
        self,
        faces: list[DatasetIndex],
        empty: DatasetIndex,
        people: Sequence[tuple[Path, Floats]],
        length: int,
        seed: int,
    ) -> None:
        rows = [(i, r) for i in faces for r in i.select("train").records if r.usable and r.points is not None]
        self._large = [row for row in rows if np.ptp(row[1].points, axis=0).max() > 60]
        self._small = [row for row in rows if np.ptp(row[1].points, axis=0).max() <= 60]
        self._empty = (empty, [r for r in empty.select("train").records if r.usable])
        self._people = people
        self._length, self._seed = length, seed

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, number))
        image, faces = self._behind(rng), np.zeros((0, 4))
        if self._people and rng.random() < 0.6:
            for _ in range(rng.integers(1, _TILES + 1)):
                faces = self._crowd(image, faces, rng)
        else:
            wanted = rng.choice(6, p=(0.25, 0.4, 0.15, 0.1, 0.05, 0.05))
            for place in range(wanted):
                side = float(np.exp(rng.uniform(np.log(14), np.log(60 if wanted > 1 and place else 240))))
                faces = self._pasted(image, side, faces, rng)
        within = (np.abs(faces[:, :2] - SIDE / 2) < SIDE / 2).all(axis=1)
        faces = faces[within][np.argsort(-np.abs(faces[within, 2]))][:_MOST_FACES]
        told = np.zeros((_MOST_FACES, 4), np.float32)
        told[: len(faces)] = faces
        return torch.from_numpy(_as_seen(image, rng)[None]), torch.from_numpy(told)

    def _behind(self, rng: np.random.Generator) -> Grey:
        """A crop of a picture without people; often where YuNet is wrong."""
        index, records = self._empty
        record = records[rng.integers(len(records))]
        image = _grey(index.path(record))
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
        return _warped(image, shape, scale, (SIDE, SIDE), cv2.BORDER_REFLECT_101)

    def _pasted(self, image: Grey, side: float, faces: Floats, rng: np.random.Generator) -> Floats:
        """One face of the indices, cut out or with its picture; none where another one is."""
        rows = self._small if side < 50 and rng.random() < 0.3 and self._small else self._large
        index, record = rows[rng.integers(len(rows))]
        face, points = _grey(index.path(record)), record.points.astype(np.float64)
        if rng.random() < 0.15:
            face = _luminance(masked(cv2.cvtColor(face, cv2.COLOR_GRAY2RGB), record.points, rng))
        flipped = rng.random() < 0.5
        if flipped:
            face, points = face[:, ::-1], points * (-1, 1) + (face.shape[1] - 1, 0)
        low, high = points.min(axis=0), points.max(axis=0)
        extent = float((high - low).max())
        at = _place(side, rng)
        if any(np.hypot(*(at - other[:2])) < 0.9 * (side + abs(other[2])) / 2 for other in faces):
            return faces
        scale, roll = side / extent, _roll(rng)
        shape = _similarity(scale, roll, (low + high) / 2, at)
        cover = _cover(face, low, high, extent, rng)
        _paste(image, face, cover, shape, scale, max(0.3, side * rng.uniform(0.01, 0.1)))
        points = apply(shape, points)
        told = roll + _tilt(record.points) * (-1 if flipped else 1)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        return np.vstack([faces, [*middle, np.ptp(points, axis=0).max(), told]])

    def _crowd(self, image: Grey, faces: Floats, rng: np.random.Generator) -> Floats:
        """A picture of people, so that one of its faces has any size; what it covers is no longer there."""
        path, known = self._people[rng.integers(len(self._people))]
        picture, known = _grey(path), known.copy()
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
            known[:, 0], known[:, 3] = picture.shape[1] - 1 - known[:, 0], -known[:, 3]
        x, y, own = known[rng.integers(len(known)), :3]
        side = float(np.exp(rng.uniform(np.log(14), np.log(240))))
        scale, roll = min(side / abs(own), 2.0), _roll(rng)
        shape = _similarity(scale, roll, np.array([x, y]), _place(scale * abs(own), rng))
        solid = np.full(picture.shape[:2], 255, np.uint8)
        mask = _paste(image, picture, solid, shape, scale, rng.uniform(0.3, 2))
        inside = np.clip(faces[:, :2], 0, SIDE - 1).astype(int)
        faces = faces[mask[inside[:, 1], inside[:, 0]] < 0.5]
        known[:, :2] = apply(shape, known[:, :2])
        known[:, 2], known[:, 3] = known[:, 2] * scale, known[:, 3] + roll
        return np.vstack([faces, known])


def _tilt(points: Points) -> float:
    """A face's roll in its picture, as `FaceBox` has it: radians, > 0 where its left eye is lower."""
    roll = -head_pose(points).roll
    return roll if np.isfinite(roll) else 0.0


def _place(side: float, rng: np.random.Generator) -> Floats:
    edge = min(0.3 * side, 40)
    return rng.uniform(edge, SIDE - edge, 2)


def _roll(rng: np.random.Generator) -> float:
    return float(rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.25))


def _similarity(scale: float, roll: float, middle: Floats, at: Floats) -> Floats:
    turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return np.column_stack([turn, at - turn @ middle])


def _paste(image: Grey, source: Grey, cover: Grey, shape: Floats, scale: float, soft: float) -> NDArray[np.float32]:
    """Lay `source` where `cover` is, warped, with edges so soft (pixels), on `image`; returns how much of each pixel
    of it is covered, SxS, 0 to 1."""
    corners = np.array([(x, y) for x in (0, source.shape[1]) for y in (0, source.shape[0])], np.float64)
    ends = apply(shape, corners)
    reach = np.clip((ends.min(axis=0) - 3 * soft, ends.max(axis=0) + 3 * soft + 1), 0, SIDE).astype(int)
    (left, top), (right, bottom) = reach.tolist()
    whole = np.zeros((SIDE, SIDE), np.float32)
    if right <= left or bottom <= top:
        return whole
    size, moved = (right - left, bottom - top), shape - [[0, 0, left], [0, 0, top]]
    there = _warped(source, moved, scale, size, cv2.BORDER_REPLICATE)
    mask = _warped(cover, moved, scale, size, cv2.BORDER_CONSTANT)
    mask = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), soft)
    behind = image[top:bottom, left:right]
    behind[:] = there * mask + behind * (1 - mask)
    whole[top:bottom, left:right] = mask
    return whole


def _warped(image: Grey, shape: Floats, scale: float, size: tuple[int, int], border: int) -> Grey:
    image = np.ascontiguousarray(image)
    if scale < 0.6:
        small = cv2.resize(image, None, fx=1.5 * scale, fy=1.5 * scale, interpolation=cv2.INTER_AREA)
        ratio = np.divide(image.shape, small.shape)[::-1]
        shape = np.column_stack([shape[:, :2] * ratio, shape[:, 2] + shape[:, :2] @ (ratio / 2 - 0.5)])
        image = small
    return cv2.warpAffine(image, shape, size, flags=cv2.INTER_LINEAR, borderMode=border)


@cache
def _grey(path: Path) -> Grey:
    """A picture's luminance, kept in memory: 3 GB for all of them."""
    return _luminance(load_image(path))


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


class _Seen(NamedTuple):
    """A picture's difference hash, 32 bytes, itself in luminance, and its faces Nx4 as in `Scenes`."""

    bits: NDArray[np.uint8]
    image: Grey
    faces: Floats


def teach(chosen: argparse.Namespace) -> None:
    """Write the pictures of a folder in which there is a face, and what the teachers say of them, into another."""
    chosen.output.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in chosen.pictures.rglob("*") if path.is_file())
    known = [_bits(_luminance(load_image(p))) for p in sorted(chosen.but.iterdir())] if chosen.but else []
    left = 0
    with (chosen.output / "faces.csv").open("w", newline="") as file, _processes(chosen.workers) as pool:
        table = csv.writer(file)
        table.writerow(("picture", "x", "y", "side", "roll"))
        for number, seen in enumerate(pool.map(_seen, paths, chunksize=16)):
            if seen is None or not (seen.faces[:, 2] > 0).any():
                continue
            if known and np.unpackbits(np.stack(known) ^ seen.bits, axis=1).sum(axis=1).min() <= _SAME_BITS:
                left += 1
                continue
            name = f"{number:06d}.png"
            cv2.imwrite(str(chosen.output / name), seen.image)
            table.writerows((name, *np.round(face, 3).tolist()) for face in seen.faces)
    print(f"{len(paths)} files, {left} of them among those of {chosen.but}")


def _processes(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))  # forked ones wait for OpenCV's threads


def taught(folder: Path) -> Iterator[tuple[Path, Floats]]:
    """Pictures and faces Nx4 that `teach` wrote."""
    faces = defaultdict(list)
    with (folder / "faces.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            faces[row["picture"]].append([float(row[name]) for name in ("x", "y", "side", "roll")])
    for name, rows in faces.items():
        yield folder / name, np.array(rows)


@cache
def _teachers() -> FaceAnalyzer:
    cv2.setNumThreads(1)
    return FaceAnalyzer.load(threads=1, config=AnalyzerConfig(max_faces=64))


def _seen(path: Path) -> _Seen | None:
    """None: no picture, or a tiny one."""
    try:
        image = load_image(path)
    except AueCrlError:
        return None
    if min(image.shape[:2]) < 64:
        return None
    scale = min(1.0, _LONG_PX / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    faces = []
    for face in _teachers().find([image])[0]:
        low, high = face.points.min(axis=0), face.points.max(axis=0)
        faces.append([*((low + high) / 2), (high - low).max(), _tilt(face.points)])
    sure = np.array(faces).reshape(-1, 4)
    for box in _teachers().detector(image):
        side, middle = max(box.w, box.h), np.array([box.x + box.w / 2, box.y + box.h / 2])
        if not (np.hypot(*(sure[:, :2] - middle).T) < 0.5 * side).any():
            faces.append([*middle, -side, box.roll])
    grey = _luminance(image)
    return _Seen(_bits(grey), grey, np.array(faces).reshape(-1, 4))


def _bits(grey: Grey) -> NDArray[np.uint8]:
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA).astype(int)
    return np.packbits(small[:, 1:] > small[:, :-1])
