"""Samples: the run-time crop, reproducible draws, honest errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch.utils.data import DataLoader

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import FaceDataset, crop_map, hold_out
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.prepare import prepare
from aue_crl_core.data.transforms import Augmentation
from aue_crl_core.errors import DatasetError, ImageError
from aue_crl_core.faces.crop import apply, cut, inverse, map_from_points
from aue_crl_core.media.reading.pixels import load_image

SIZE = Preprocessing(input_size=96)
NONE = Augmentation(rotation_deg=0, shift=0, scale=0, flip=0, grey=0, soften=0, light=0, erase=0)


def _with(index: DatasetIndex, **changes: object) -> DatasetIndex:
    record = next(r for r in index.records if r.usable)
    return dataclasses.replace(index, records=(dataclasses.replace(record, **changes),))


def test_a_sample_is_the_crop_of_run_time(prepared):
    dataset = FaceDataset([prepared], SIZE)
    record = next(r for r in prepared.records if r.usable)
    to_image = map_from_points(record.points, SIZE)
    sample = dataset[0]
    expected = cut(load_image(prepared.path(record)), to_image, 96)
    np.testing.assert_array_equal(sample.image.permute(1, 2, 0).numpy(), expected)
    np.testing.assert_allclose(sample.points.numpy(), apply(inverse(to_image), record.points), atol=1e-4)
    assert sample.image.dtype == torch.uint8
    assert sample.target.tolist() == [float(i == record.label) for i in range(7)]
    assert bool(sample.has_points)


def test_votes_are_the_target_where_there_are_any(prepared):
    votes = (0.0, 0.5, 0.0, 0.0, 0.0, 0.5, 0.0)
    assert FaceDataset([_with(prepared, votes=votes)], SIZE)[0].target.tolist() == list(votes)


def test_a_face_without_points_is_cropped_by_its_box_else_it_is_the_whole_image(prepared):
    boxed = _with(prepared, points=None)
    sample = FaceDataset([boxed], SIZE)[0]
    assert not sample.has_points
    assert (sample.points == 0).all()
    record = boxed.records[0]
    image = load_image(boxed.path(record))
    box = record.box
    middle = apply(crop_map(record, image, SIZE), np.array([[47.5, 47.5]]))[0]
    np.testing.assert_allclose(middle, (box.x + (box.w - 1) / 2, box.y + (box.h - 1) / 2))
    bare = crop_map(dataclasses.replace(record, box=None), image, SIZE)
    assert bare[0, 0] == pytest.approx(1.15 * max(image.shape[:2]) / 96)


def test_the_same_seed_and_epoch_give_the_same_sample_and_others_differ(prepared):
    def sample(seed: int, epoch: int) -> np.ndarray:
        dataset = FaceDataset([prepared], SIZE, Augmentation(), seed=seed)
        dataset.set_epoch(epoch)
        return dataset[1].image.numpy()

    np.testing.assert_array_equal(sample(3, 5), sample(3, 5))
    assert (sample(3, 5) != sample(3, 6)).any()
    assert (sample(3, 5) != sample(4, 5)).any()


def test_samples_do_not_depend_on_the_number_of_workers(prepared):
    dataset = FaceDataset([prepared], SIZE, Augmentation(), seed=1)
    dataset.set_epoch(2)
    alone, shared = (
        torch.cat([batch.image for batch in DataLoader(dataset, batch_size=3, num_workers=workers)])
        for workers in (0, 2)
    )
    assert torch.equal(alone, shared)


def test_a_flip_moves_points_and_picture_together(prepared):
    plain = FaceDataset([prepared], SIZE, NONE)[0]
    flipped = FaceDataset([prepared], SIZE, dataclasses.replace(NONE, flip=1))[0]
    assert torch.equal(flipped.image, plain.image.flip(-1))
    np.testing.assert_allclose(flipped.points[36], (95 - plain.points[45, 0], plain.points[45, 1]), atol=1e-3)


def test_the_side_of_an_epoch_can_be_chosen(prepared):
    dataset = FaceDataset([prepared], SIZE)
    large = dataset[0].points
    dataset.set_epoch(0, size=64)
    assert dataset[0].image.shape == (3, 64, 64)
    np.testing.assert_allclose((dataset[0].points + 0.5) / 64, (large + 0.5) / 96, atol=1e-4)
    dataset.set_epoch(1)
    assert dataset[0].image.shape == (3, 96, 96)


def test_only_usable_labelled_images_count_in_the_order_of_the_index(prepared):
    usable = [r.label for r in prepared.records if r.usable]
    extra = (Record("x.jpg", "train", label=1, usable=False, reason="gone"), Record("y.jpg", "train"))
    dataset = FaceDataset([dataclasses.replace(prepared, records=extra + prepared.records)], SIZE)
    assert dataset.labels.tolist() == usable
    assert dataset.labels.dtype == np.int64


def test_an_index_of_which_nothing_can_be_used_is_refused(prepared):
    with pytest.raises(DatasetError, match="no usable image with a label"):
        FaceDataset([_with(prepared, usable=False)], SIZE)


def test_indices_of_two_vocabularies_do_not_mix(prepared):
    with pytest.raises(DatasetError, match="share a vocabulary, got basic and compound"):
        FaceDataset([prepared, dataclasses.replace(prepared, vocabulary="compound")], SIZE)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_index_whose_images_are_gone_says_which(small_raf, tmp_path, workers):
    index = prepare("raf-db", small_raf, tmp_path / "i.parquet", None).index
    dataset = FaceDataset([dataclasses.replace(index, root=tmp_path / "elsewhere")], SIZE)
    with pytest.raises(DatasetError, match=r"elsewhere.*\.jpg, which is not there; put it back"):
        next(iter(DataLoader(dataset, num_workers=workers)))


def test_an_image_that_was_damaged_since_says_so(small_raf, tmp_path):
    index = prepare("raf-db", small_raf, tmp_path / "i.parquet", None).index
    index.path(index.records[0]).write_bytes(b"no image")
    with pytest.raises(ImageError, match="not a picture of a kind that is read"):
        FaceDataset([index], SIZE)[0]


def test_held_out_records_come_from_train_alone_and_a_person_stays_together(tmp_path):
    rows = tuple(Record(f"{i}.jpg", "train", label=0, subject=f"s{i // 2}") for i in range(200))
    rows += (Record("t.jpg", "test", label=0),)
    index = hold_out(DatasetIndex("folder", "basic", tmp_path, rows), 0.2)
    assert [r.image for r in index.records] == [r.image for r in rows]
    assert index.splits()["test"] == 1
    assert 20 <= index.splits()["valid"] <= 60
    for subject in {r.subject for r in rows}:
        assert len({r.split for r in index.records if r.subject == subject}) == 1
    assert hold_out(index, 0.0) == index
