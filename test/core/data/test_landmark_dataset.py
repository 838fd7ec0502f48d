"""Crops for the landmark net: faces with their points, and places that show none."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.landmark_dataset import LANDMARK_AUGMENTATION, LandmarkDataset, _no_face_map
from aue_crl_core.errors import DatasetError
from aue_crl_core.faces.crop import apply
from aue_crl_core.types import FaceBox

SIZE = Preprocessing(input_size=64)


def test_without_augmentation_every_sample_is_a_face_with_its_points_inside(prepared):
    dataset = LandmarkDataset([prepared], SIZE, negatives=1.0)
    for position in range(len(dataset)):
        sample = dataset[position]
        assert sample.image.shape == (3, 64, 64)
        assert sample.target.tolist() == [1]
        assert bool(sample.has_points)
        assert float(sample.points.min()) >= 0
        assert float(sample.points.max()) <= 63


def test_samples_are_drawn_from_seed_epoch_and_position(prepared):
    def image(seed: int, epoch: int) -> torch.Tensor:
        dataset = LandmarkDataset([prepared], SIZE, LANDMARK_AUGMENTATION, seed=seed)
        dataset.set_epoch(epoch)
        return dataset[0].image

    assert torch.equal(image(1, 2), image(1, 2))
    assert not torch.equal(image(1, 2), image(1, 3))
    assert not torch.equal(image(1, 2), image(2, 2))


def test_negatives_come_at_their_share_and_carry_no_points(prepared):
    dataset = LandmarkDataset([prepared], SIZE, LANDMARK_AUGMENTATION, negatives=0.5)
    samples = []
    for epoch in range(8):
        dataset.set_epoch(epoch)
        samples += [dataset[i] for i in range(len(dataset))]
    negative = [s for s in samples if s.target.item() == 0]
    assert 0.1 * len(samples) <= len(negative) <= 0.6 * len(samples)
    assert not any(bool(s.has_points) for s in negative)
    assert all(bool(s.has_points) for s in samples if s.target.item() == 1)


def test_a_place_without_a_face_hardly_overlaps_the_face(prepared):
    record = next(r for r in prepared.records if r.points is not None)
    image = np.zeros((400, 500, 3), np.uint8)
    rng = np.random.default_rng(0)
    maps = [m for m in (_no_face_map(record, image, 64, rng) for _ in range(50)) if m is not None]
    assert maps
    for to_image in maps:
        left, top = apply(to_image, np.array([[-0.5, -0.5]]))[0]
        side = to_image[0, 0] * 64
        assert FaceBox(left, top, side, side).iou(FaceBox.around(record.points)) < 0.17


@pytest.fixture
def faceless(tmp_path, photograph):
    """An index of a picture without a face: one record with a place that a detector saw, one without."""
    cv2.imwrite(str(tmp_path / "wall.png"), np.tile(np.arange(200, dtype=np.uint8)[:, None, None], (1, 300, 3)))
    records = (Record("wall.png", "train", box=FaceBox(50, 60, 40, 40)), Record("wall.png", "train"))
    return DatasetIndex("no-faces", "basic", tmp_path, records)


def test_every_record_of_an_index_without_faces_is_a_sample_of_none(prepared, faceless):
    faces = len(LandmarkDataset([prepared], SIZE))
    dataset = LandmarkDataset([faceless, prepared], SIZE)
    targets = [dataset[i].target.item() for i in range(len(dataset))]
    assert targets == [1.0] * faces + [0.0, 0.0]
    assert not bool(dataset[faces].has_points)
    assert float(dataset[faces].points.abs().max()) == 0


def test_it_is_mostly_looked_at_where_the_detector_saw_a_face(faceless, prepared):
    dataset = LandmarkDataset([prepared, faceless], SIZE)
    rows = []
    for epoch in range(40):
        dataset.set_epoch(epoch)
        rows.append(float(dataset[len(dataset) - 2].image.float().mean()))
    assert sum(abs(row - 79.5) < 2 for row in rows) >= 20  # the wall is as bright as its row number


def test_a_crop_that_misses_its_face_holds_none(prepared):
    dataset = LandmarkDataset([prepared], SIZE, LANDMARK_AUGMENTATION, negatives=1.0)
    samples = [dataset[i] for i in range(len(dataset))]
    assert not any(bool(sample.has_points) for sample in samples if sample.target.item() == 0)
    assert any(sample.target.item() == 0 for sample in samples)


def test_an_index_without_points_is_refused(prepared):
    bare = tuple(dataclasses.replace(r, points=None) for r in prepared.records)
    with pytest.raises(DatasetError, match="no image with face points"):
        LandmarkDataset([dataclasses.replace(prepared, records=bare)], SIZE)


def test_a_face_with_a_box_only_teaches_that_it_is_one(prepared):
    boxed = dataclasses.replace(
        prepared,
        records=(
            prepared.records[0],
            *(dataclasses.replace(r, box=FaceBox.around(r.points), points=None) for r in prepared.records[1:6]),
        ),
    )
    for augmentation in (None, LANDMARK_AUGMENTATION):
        dataset = LandmarkDataset([boxed], SIZE, augmentation, negatives=1.0)
        assert len(dataset) == 6
        for position in range(1, 6):
            sample = dataset[position]
            assert sample.target.tolist() == [1]
            assert not bool(sample.has_points)
            assert not sample.points.any() or augmentation
