"""What is scored when a folder or an index is given, and when no split is named."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.errors import DatasetError
from aue_crl_core.evaluation.selection import choose_split, open_data


def _index(**splits: int) -> DatasetIndex:
    records = (Record(f"{split}{i}.jpg", split, label=0) for split, count in splits.items() for i in range(count))
    return DatasetIndex("folder", "basic", Path(), tuple(records))


def _folder(root: Path, photograph_path: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photograph_path, root / name)
    return root


def test_a_folder_of_classes_is_scored_as_a_whole(tmp_path, photograph_path):
    index = open_data(_folder(tmp_path / "mine", photograph_path, "happy/a.jpg", "Fearful/b.jpg"))
    assert (index.layout, index.root, index.splits()) == ("folder", tmp_path / "mine", {"all": 2})
    assert choose_split(index) == (index, "all")


def test_of_a_folder_with_splits_it_is_test(tmp_path, photograph_path):
    index = open_data(_folder(tmp_path, photograph_path, "Train/happy/a.jpg", "Testing/sad/b.jpg"))
    chosen, name = choose_split(index)
    assert ([r.image for r in chosen.records], name) == (["Testing/sad/b.jpg"], "test")


def test_an_index_is_read(tmp_path):
    _index(train=2).write(tmp_path / "i.parquet")
    assert open_data(tmp_path / "i.parquet", tmp_path / "moved").root == tmp_path / "moved"


@pytest.mark.parametrize(
    ("splits", "asked", "name", "count"),
    [
        ({"train": 3, "test": 2}, None, "test", 2),
        ({"train": 3}, None, "all", 3),
        ({"clinic": 4}, None, "all", 4),
        ({"train": 3, "valid": 1}, "valid", "valid", 1),
        ({"train": 3, "valid": 1}, "Validation", "valid", 1),
        ({"train": 3, "Validation": 1}, "Validation", "Validation", 1),
        ({"train": 3, "valid": 1}, "all", "all", 4),
    ],
)
def test_the_split_that_is_scored(splits, asked, name, count):
    chosen, called = choose_split(_index(**splits), asked)
    assert (called, len(chosen.records)) == (name, count)
    assert Counter(chosen.splits()) == (splits if name == "all" else {name: count})


def test_several_splits_without_test_must_be_chosen_from():
    with pytest.raises(DatasetError, match=r"no split 'test', it has .*'train': 3.*--split, or score all with --split"):
        choose_split(_index(train=3, valid=1))
    with pytest.raises(DatasetError, match="no split 'holiday'"):
        choose_split(_index(train=3), "holiday")
