"""Crops to train the landmark net on: faces as any detector might box them, and crops that show no face."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch.utils.data import Dataset

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import Sample, draw, load_indexed
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.layouts.no_faces import NAME as NO_FACES
from aue_crl_core.data.transforms import Augmentation, moved
from aue_crl_core.errors import DatasetError
from aue_crl_core.faces.crop import Affine, map_from_box, map_from_points
from aue_crl_core.types import FaceBox, Image

LANDMARK_AUGMENTATION: Final = Augmentation(
    rotation_deg=35, shift=0.12, scale=0.25, grey=0, soften=0.4, erase=0.2, dim=0.2, cover=0.1, mask=0.3, smallest=0.22
)
"""As wide as the boxes of detectors and the last frame's points are apart, in light as poor as a robot's."""

_MAX_NEGATIVE_IOU: Final = 0.15
_ANYWHERE: Final = 0.25
"""Share of the crops of a picture without faces that are not where the detector saw one."""


class LandmarkDataset(Dataset[Sample]):
    """Samples with `target` [1] for a face and [0] for none.

    Every face with points is one, then every face with a box only, of which the points are not known (masked, in
    profile), then every record of an index of layout no-faces. With augmentation a share `negatives` of the faces with
    points gives way to another place of its picture, or to a crop that misses it. The generator of sample i in epoch e
    is seeded by (seed, e, i).
    """

    def __init__(
        self,
        indices: list[DatasetIndex],
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        negatives: float = 0.25,
    ) -> None:
        usable = [(index, r) for index in indices for r in index.records if r.usable]
        faces = [(index, r) for index, r in usable if r.points is not None and index.layout != NO_FACES]
        if not faces:
            raise DatasetError("the index has no image with face points; prepare it with the extra 'landmarks'")
        boxed = [(i, r) for i, r in usable if r.points is None and r.box is not None and i.layout != NO_FACES]
        self._rows = faces + boxed + [(index, r) for index, r in usable if index.layout == NO_FACES]
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._negatives = negatives if augmentation else 0.0
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._rows)

    def set_epoch(self, epoch: int, size: None = None) -> None:
        """Choose the augmentation draw; the crops' side is the landmark net's own."""
        self._epoch = epoch

    def __getitem__(self, position: int) -> Sample:
        index, record = self._rows[position]
        image = load_indexed(index, record)
        size = self._preprocessing.input_size
        rng = np.random.default_rng((self._seed, self._epoch, position))
        elsewhere, points = None, record.points
        if index.layout == NO_FACES:
            elsewhere = _faceless_map(record, image, size, rng)
        elif points is not None and rng.random() < self._negatives:
            elsewhere = _no_face_map(record, image, size, rng) if rng.random() < 0.5 else self._misplaced(record, rng)
        if elsewhere is not None:
            to_image, points = elsewhere, None
        elif points is not None:
            to_image = map_from_points(points, self._preprocessing)
        else:
            to_image = map_from_box(record.box, size)
        crop, drawn = draw(image, to_image, size, points, self._augmentation, rng)
        is_face = torch.tensor([float(elsewhere is None)])
        return Sample(crop, is_face, drawn, torch.tensor(points is not None))

    def _misplaced(self, record: Record, rng: np.random.Generator) -> Affine:
        """A crop that holds a face of which no points can be told: far too large or small, beside it, or lying."""
        to_image, size = map_from_points(record.points, self._preprocessing), self._preprocessing.input_size
        wrong = rng.choice(("rolled", "shifted", "near", "far"), p=(0.4, 0.3, 0.15, 0.15))
        turn = rng.uniform(75, 285) if wrong == "rolled" else 0.0
        scale = {"near": rng.uniform(0.25, 0.45), "far": rng.uniform(2.5, 4.0)}.get(wrong, 1.0)
        away, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 0.9) if wrong == "shifted" else 0.0
        shift = distance * np.array([np.cos(away), np.sin(away)])
        return moved(to_image, size, np.deg2rad(turn), scale, shift)


def _faceless_map(record: Record, image: Image, size: int, rng: np.random.Generator) -> Affine:
    """Where the detector saw a face in a picture without one; at times, or where it saw none, any square of it."""
    if record.box is not None and rng.random() >= _ANYWHERE:
        return map_from_box(record.box, size)
    return map_from_box(_square(image, rng), size, 1.0)


def _no_face_map(record: Record, image: Image, size: int, rng: np.random.Generator) -> Affine | None:
    """A random square of the image that hardly overlaps the face; None if chance finds none."""
    face = FaceBox.around(record.points)
    squares = (_square(image, rng) for _ in range(8))
    free = next((square for square in squares if square.iou(face) < _MAX_NEGATIVE_IOU), None)
    return None if free is None else map_from_box(free, size, 1.0)


def _square(image: Image, rng: np.random.Generator) -> FaceBox:
    """A random square of the image."""
    height, width = image.shape[:2]
    side = float(rng.uniform(0.12, 0.9) * min(height, width))
    x, y = rng.uniform(0, max(width - side, 1)), rng.uniform(0, max(height - side, 1))
    return FaceBox(x, y, side, side)
