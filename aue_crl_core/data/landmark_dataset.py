"""Crops to train the landmark net on: faces as any detector might box them, and crops that show no face."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import Sample, draw, load_indexed
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.transforms import Augmentation
from aue_crl_core.errors import DatasetError
from aue_crl_core.faces.crop import Affine, map_from_points, similarity
from aue_crl_core.types import FaceBox, Image

LANDMARK_AUGMENTATION = Augmentation(rotation_deg=35, shift=0.12, scale=0.25, erase=0.2)
"""As wide as the boxes of cascades, other detectors and the last frame's points are apart."""

_MAX_NEGATIVE_IOU = 0.15


class LandmarkDataset(Dataset[Sample]):
    """Samples with `target` [1] for a face and [0] for none; without augmentation every sample is a face.

    The generator of sample i in epoch e is seeded by (seed, e, i).
    """

    def __init__(
        self,
        indices: list[DatasetIndex],
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        negatives: float = 0.2,
    ) -> None:
        self._rows = [(index, r) for index in indices for r in index.records if r.usable and r.points is not None]
        if not self._rows:
            raise DatasetError("the index has no image with face points; prepare it with the extra 'landmarks'")
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
        no_face = _no_face_map(record, image, size, rng) if rng.random() < self._negatives else None
        to_image = map_from_points(record.points, self._preprocessing) if no_face is None else no_face
        crop, points = draw(image, to_image, size, record.points, self._augmentation, rng)
        is_face = no_face is None
        return Sample(crop, torch.tensor([float(is_face)]), points, torch.tensor(is_face))


def _no_face_map(record: Record, image: Image, size: int, rng: np.random.Generator) -> Affine | None:
    """A random square of the image that hardly overlaps the face; None if chance finds none."""
    height, width = image.shape[:2]
    face = FaceBox.around(record.points)
    for _ in range(8):
        side = float(rng.uniform(0.12, 0.9) * min(height, width))
        x, y = rng.uniform(0, max(width - side, 1)), rng.uniform(0, max(height - side, 1))
        if FaceBox(x, y, side, side).iou(face) < _MAX_NEGATIVE_IOU:
            return similarity((x + side / 2, y + side / 2), side, 0.0, size)
    return None
