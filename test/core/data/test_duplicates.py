"""The same picture in several files: counted, listed, and on demand used in one split only."""

from __future__ import annotations

import dataclasses

import pytest
from dataset_trees import pixels_of, write

from aue_crl_core.data.duplicates import describe, find_duplicates, without_copies
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.layouts import class_folders
from aue_crl_core.media.reading.pixels import save_image

PICTURES = {
    "train/happy/a.png": 0,
    "train/happy/b.png": 1,
    "train/sad/b.png": 1,
    "train/sad/c.png": 2,
    "valid/happy/d.png": 3,
    "valid/happy/e.png": 2,
    "test/happy/f.png": 2,
    "test/happy/g.png": 3,
    "test/happy/h.png": 4,
}
"""Image -> which picture: 1 twice in train with two labels, 2 in all splits, 3 in two."""


@pytest.fixture
def index(tmp_path) -> DatasetIndex:
    for name, seed in PICTURES.items():
        save_image(tmp_path / name, pixels_of(seed))
    return DatasetIndex("folder", "basic", tmp_path, tuple(class_folders.read(tmp_path)))


def test_files_of_one_content_are_a_group(index):
    groups = {tuple(sorted(r.image for r in records)) for records in find_duplicates(index)}
    assert groups == {
        ("train/happy/b.png", "train/sad/b.png"),
        ("test/happy/f.png", "train/sad/c.png", "valid/happy/e.png"),
        ("test/happy/g.png", "valid/happy/d.png"),
    }


def test_they_are_described_by_splits_and_labels(index):
    assert describe(find_duplicates(index)) == (
        "pictures that are there more than once: 3, as 7 files (2 of 'valid' also in 'test', "
        "1 of 'train' also in 'test', 2 with more than one label)"
    )


def test_without_copies_every_picture_is_used_in_one_split(index):
    once = without_copies(index, find_duplicates(index))
    left_out = {r.image: r.reason for r in once.records if not r.usable}
    assert left_out == dict.fromkeys(
        ("train/sad/c.png", "valid/happy/d.png", "valid/happy/e.png"), "the same picture is in the split 'test'"
    )
    assert [r.image for r in once.records] == [r.image for r in index.records]


def test_several_faces_of_one_file_are_no_copies_and_unusable_images_are_not_looked_at(index):
    twice = (*index.records, dataclasses.replace(index.records[0], label=5))
    gone = Record("gone.png", "train", usable=False, reason="it does not exist")
    found = find_duplicates(dataclasses.replace(index, records=(*twice, gone)))
    assert found == find_duplicates(index)


def test_files_of_one_size_and_another_content_are_none(tmp_path):
    for name, text in (("a.png", "one"), ("b.png", "two")):
        write(tmp_path / name, text)
    records = (Record("a.png", "train"), Record("b.png", "test"))
    assert find_duplicates(DatasetIndex("csv", "basic", tmp_path, records)) == ()
