"""Faces of an index as torch samples: the same crop as at run time, with labels and points."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.transforms import Augmentation, degrade, jittered, masked, mirrored
from aue_crl_core.errors import DatasetError
from aue_crl_core.faces.crop import Affine, apply, cut, inverse, map_from_box, map_from_points
from aue_crl_core.facs import ACTION_UNITS, NUM_POINTS
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FaceBox, Image, Points

UnitOdds = Mapping[tuple[Path, str], NDArray[np.float32]]
"""(root of the index, name of the image) -> log-odds of the 17 AUs."""

Synthesis = Callable[[Image, Points, np.random.Generator], Image]

BOX_CROP_SCALE = 1.15
"""Side of the crop in sides of the box, for a face without points (the paper's 15 %)."""


_NO_EVIDENCE = torch.full((len(ACTION_UNITS),), torch.nan)
_UNKNOWN = torch.tensor(-1)


class Sample(NamedTuple):
    """One face, or a batch of them with a leading dimension B.

    `image` uint8 3xSxS RGB; `target` float32 C, class weights that sum to 1; `points` float32 68x2 in crop pixels
    (zeros where unknown); `has_points` bool; `evidence` float32 17, log-odds of each AU from the face mesh (NaN where
    unknown or not asked for); `identity` int64, the number of the person in its dataset (-1 where unknown).
    """

    image: Tensor
    target: Tensor
    points: Tensor
    has_points: Tensor
    evidence: Tensor = _NO_EVIDENCE
    identity: Tensor = _UNKNOWN


class FaceDataset(Dataset[Sample]):
    """Labelled, usable faces of one or more indices.

    With `augmentation`, sample i of epoch e is drawn from a generator seeded by (seed, e, i): the same run gives the
    same pictures whatever the number of loader workers, and `set_epoch` must be called before each epoch. `evidence`:
    log-odds of the AUs, for the records that have them; `synthesis`: as `draw`.
    """

    def __init__(
        self,
        indices: list[DatasetIndex],
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        evidence: UnitOdds | None = None,
        synthesis: Synthesis | None = None,
    ) -> None:
        self._rows = [(index, r) for index in indices for r in index.records if r.learnable]
        if not self._rows:
            raise DatasetError("the index has no usable image with a label; see the reasons that prepare listed")
        vocabularies = sorted({index.vocabulary for index in indices})
        if len(vocabularies) > 1:
            raise DatasetError(f"indices of one dataset must share a vocabulary, got {' and '.join(vocabularies)}")
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._seed = seed
        self._epoch = 0
        self._size = preprocessing.input_size
        self.classes = indices[0].classes
        self._evidence = evidence or {}
        self._synthesis = synthesis
        people = dict.fromkeys((index.root, r.subject) for index, r in self._rows if r.subject is not None)
        self._people = {person: torch.tensor(number) for number, person in enumerate(people)}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def labels(self) -> np.ndarray:
        """The label of every sample, int64 N."""
        return np.array([r.label for _, r in self._rows])

    @property
    def targets(self) -> Tensor:
        """The target of every sample, float32 NxC."""
        return torch.tensor([label_distribution(r, len(self.classes)) for _, r in self._rows], dtype=torch.float32)

    def fingerprint(self) -> dict[str, str]:
        """Hashes of all that the pictures come from: `files` (names, sizes, times), `faces` (points, boxes) and
        `settings` (pre-processing, augmentation, seed). Labels are not in it."""
        files, faces = hashlib.sha256(), hashlib.sha256()
        for index, record in self._rows:
            about = index.path(record).stat()
            files.update(f"{record.image}|{about.st_size}|{about.st_mtime_ns}\n".encode())
            faces.update(b"-" if record.points is None else np.float32(record.points).tobytes())
            faces.update(f"{record.box}\n".encode())
        settings = f"{self._preprocessing}|{self._augmentation}|{self._seed}".encode()
        return {
            "files": files.hexdigest(),
            "faces": faces.hexdigest(),
            "settings": hashlib.sha256(settings).hexdigest(),
        }

    def set_epoch(self, epoch: int, size: int | None = None) -> None:
        """Choose the augmentation draw, and the side of the crops in pixels (None: that of the pre-processing)."""
        self._epoch = epoch
        self._size = size or self._preprocessing.input_size

    def __getitem__(self, position: int) -> Sample:
        index, record = self._rows[position]
        image = load_indexed(index, record)
        size = self._size
        to_image = crop_map(record, image, dataclasses.replace(self._preprocessing, input_size=size))
        rng = np.random.default_rng((self._seed, self._epoch, position))
        crop, points = draw(image, to_image, size, record.points, self._augmentation, rng, self._synthesis)
        target = torch.tensor(label_distribution(record, len(self.classes)), dtype=torch.float32)
        key = (index.root, record.image)
        odds = torch.from_numpy(self._evidence[key]) if key in self._evidence else _NO_EVIDENCE
        person = self._people.get((index.root, record.subject), _UNKNOWN)
        return Sample(crop, target, points, torch.tensor(record.points is not None), odds, person)


def draw(
    image: Image,
    to_image: Affine,
    size: int,
    points: Points | None,
    augmentation: Augmentation | None,
    rng: np.random.Generator,
    synthesis: Synthesis | None = None,
) -> tuple[Tensor, Tensor]:
    """One crop and its points (image pixels, None where unknown), randomly changed where `augmentation` is given.

    `synthesis` (crop, points in its pixels, generator) -> crop makes another face of one whose points are known.
    Returns uint8 3xSxS RGB and float32 68x2 in crop pixels, zeros where unknown.
    """
    if augmentation:
        to_image = jittered(to_image, size, augmentation, rng)
    crop = cut(image, to_image, size)
    placed = np.zeros((NUM_POINTS, 2), dtype=np.float32)
    if points is not None:
        placed = apply(inverse(to_image), points).astype(np.float32)
    if augmentation:
        if rng.random() < augmentation.flip:
            crop, placed = mirrored(crop, placed)
        if synthesis and points is not None:
            crop = synthesis(crop, placed, rng)
        if augmentation.mask and points is not None and rng.random() < augmentation.mask:
            crop = masked(crop, placed, rng)
        crop = degrade(crop, augmentation, rng)
    planes = np.ascontiguousarray(crop.transpose(2, 0, 1))
    return torch.from_numpy(planes), torch.from_numpy(np.ascontiguousarray(placed))


def load_indexed(index: DatasetIndex, record: Record) -> Image:
    """The image of a record, HxWx3 uint8 RGB.

    Raises:
        DatasetError: it is not where the index says.
        ImageError: it is there and cannot be read.
    """
    path = index.path(record)
    if not path.is_file():
        raise DatasetError(
            f"the index lists {path}, which is not there; put it back, or make the index again: aue-crl prepare"
        )
    return load_image(path)


def crop_map(record: Record, image: Image, preprocessing: Preprocessing) -> Affine:
    """The crop of a record: around its points, else its box, else the whole image."""
    if record.points is not None:
        return map_from_points(record.points, preprocessing)
    box = record.box or FaceBox(0, 0, image.shape[1], image.shape[0])
    return map_from_box(box, preprocessing.input_size, BOX_CROP_SCALE)


def label_distribution(record: Record, classes: int) -> list[float]:
    """The record's votes, or all weight on its label: class weights that sum to 1."""
    if record.votes is not None:
        return list(record.votes)
    return [float(i == record.label) for i in range(classes)]


def hold_out(index: DatasetIndex, share: float, seed: int = 0) -> DatasetIndex:
    """Move `share` of the records of `train` to `valid`, chosen by a hash of subject or image name.

    For a dataset without a validation split: its test split is never used to choose anything.
    """

    def moved(record: Record) -> bool:
        key = f"{seed}|{record.subject or record.image}".encode()
        return record.split == "train" and zlib.crc32(key) / 2**32 < share

    records = tuple(dataclasses.replace(r, split="valid") if moved(r) else r for r in index.records)
    return dataclasses.replace(index, records=records)
