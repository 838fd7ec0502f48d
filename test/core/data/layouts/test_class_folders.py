"""Folders named after expressions."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from aue_crl_core.data.layouts import class_folders
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS


def _tree(root: Path, photograph_path: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photograph_path, root / name)
    return root


def test_split_and_class_folders(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "train/fear/b.jpg", "train/fear/a.JPG", "valid/neutral/c.jpeg")
    rows = [(r.image, r.split, BASIC_EXPRESSIONS[r.label]) for r in class_folders.read(root)]
    assert rows == [
        ("train/fear/a.JPG", "train", "fear"),
        ("train/fear/b.jpg", "train", "fear"),
        ("valid/neutral/c.jpeg", "valid", "neutral"),
    ]


def test_without_split_folders_all_is_train(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "anger/a.jpg", "sadness/b.jpg")
    assert [r.split for r in class_folders.read(root)] == ["train", "train"]


def test_a_name_in_any_case_and_form_is_a_class(tmp_path, photograph_path):
    names = ["Surprised", "fearful", "Disgusted", "HAPPY", "Sad", "Angry", "NE"]
    root = _tree(tmp_path, photograph_path, *(f"train/{name}/a.jpg" for name in names))
    labels = {Path(r.image).parent.name: r.label for r in class_folders.read(root)}
    assert [labels[name] for name in names] == list(range(7))


def test_splits_go_by_any_of_their_names_and_by_their_own_if_that_is_none(tmp_path, photograph_path):
    names = {"Train": "train", "Validation": "valid", "TEST": "test", "clinic": "clinic"}
    root = _tree(tmp_path, photograph_path, *(f"{name}/happy/a.jpg" for name in names))
    assert {r.image.split("/")[0]: r.split for r in class_folders.read(root)} == names


def test_a_root_that_is_a_split_of_a_set_gives_its_name(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "test/happy/a.jpg")
    assert [r.split for r in class_folders.read(root / "test")] == ["test"]


def test_pictures_in_folders_of_a_class_folder_are_of_that_class(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "train/happy/ann/a.jpg", "train/sad/b.jpg")
    rows = [(r.image, r.split, BASIC_EXPRESSIONS[r.label]) for r in class_folders.read(root)]
    assert rows == [("train/happy/ann/a.jpg", "train", "happiness"), ("train/sad/b.jpg", "train", "sadness")]


def test_other_files_are_passed_over(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "anger/a.jpg")
    (root / "anger/notes.txt").write_text("seen in March")
    (root / "anger/Thumbs.db").write_bytes(b"\0")
    assert [r.image for r in class_folders.read(root)] == ["anger/a.jpg"]


def test_a_folder_of_no_expression_is_listed_and_not_dropped_silently(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "train/fear/a.jpg", "train/contempt/b.jpg", "valid/fear/c.jpg")
    unusable = [r for r in class_folders.read(root) if not r.usable]
    assert [(r.image, r.split, r.label) for r in unusable] == [("train/contempt/b.jpg", "train", None)]
    assert "'contempt' is no basic expression" in unusable[0].reason


def test_no_class_folder_at_all_is_an_error_that_says_what_lies_there(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "holiday/a.jpg", "0/a.jpg", "b.jpg")
    found = r"found the folders 0, holiday and the file b\.jpg"
    with pytest.raises(DatasetError, match=rf"no folder below .* named after an expression.*surprise, fear.*{found}"):
        list(class_folders.read(root))


def test_a_root_one_folder_too_deep_is_an_error_that_says_so(tmp_path, photograph_path):
    root = _tree(tmp_path, photograph_path, "happy/a.jpg", "sad/b.jpg")
    with pytest.raises(DatasetError, match=r"ROOT must be the folder that holds .* got one of them: .*happy"):
        list(class_folders.read(root / "happy"))


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are not bytes here")
def test_a_file_whose_name_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "happy").mkdir()
    with open(os.fsencode(tmp_path / "happy") + b"/a\xfc.jpg", "wb"):
        pass
    with pytest.raises(DatasetError, match=r"must have a name in UTF-8, got 'happy/a\\udcfc\.jpg'; rename it"):
        list(class_folders.read(tmp_path))
