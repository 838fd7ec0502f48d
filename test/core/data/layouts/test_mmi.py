"""MMI trees, made of a real photograph."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from dataset_trees import POINTS, points_text, write

from aue_crl_core.data.layouts import mmi
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS

BASE = "Select_Frames"


def test_the_six_labels_and_fold_0(mmi_root):
    records = list(mmi.read(mmi_root))
    assert [BASIC_EXPRESSIONS[r.label] for r in records] == [
        "anger",
        "disgust",
        "fear",
        "happiness",
        "sadness",
        "surprise",
    ]
    assert [r.split for r in records] == ["train"] * 4 + ["test"] * 2
    assert records[0].image == f"{BASE}/Imgs_chosen/S000/frame_0.jpg"
    assert [r.subject for r in records] == [f"S{i:03}" for i in range(6)]


def test_another_fold(mmi_root):
    assert [r.subject for r in mmi.read(mmi_root, fold=1) if r.split == "test"] == ["S000", "S001"]
    with pytest.raises(DatasetError, match=r"no fold 7 of MMI: .* the folds \[0, 1\]"):
        list(mmi.read(mmi_root, fold=7))


def test_the_folder_of_frames_may_be_the_root_itself(mmi_root):
    records = list(mmi.read(mmi_root / BASE))
    assert records[0].image == "Imgs_chosen/S000/frame_0.jpg"


def test_landmarks_are_used_where_they_are(mmi_root):
    write(mmi_root / BASE / "Landmarks_68_FAN/S000/frame_0.txt", points_text())
    first, second, *_ = mmi.read(mmi_root)
    np.testing.assert_allclose(first.points, POINTS, atol=1e-3)
    assert first.box is not None
    assert (second.points, second.box) == (None, None)


@pytest.mark.parametrize("part", ["list", "Imgs_chosen", "Emotions_chosen"])
def test_a_missing_part_is_named(mmi_root, part):
    shutil.rmtree(mmi_root / BASE / part)
    with pytest.raises(DatasetError, match=part.partition("_")[0]):
        list(mmi.read(mmi_root))


def test_two_folders_of_frames_are_one_too_many(mmi_root):
    (mmi_root / BASE / "Imgs_aligned").mkdir()
    with pytest.raises(DatasetError, match="begins with Imgs, got Imgs_aligned, Imgs_chosen"):
        list(mmi.read(mmi_root))


@pytest.mark.parametrize("text", ["6", "-1", "", "happy", "1.5", "inf"])
def test_a_wrong_label_is_named(mmi_root, text):
    write(mmi_root / BASE / "Emotions_chosen/S002/frame_2.txt", text)
    with pytest.raises(DatasetError, match=r"frame_2\.txt must begin with a label in \[0, 5\]"):
        list(mmi.read(mmi_root))


def test_a_label_file_that_is_not_there_is_named(mmi_root):
    (mmi_root / BASE / "Emotions_chosen/S002/frame_2.txt").unlink()
    with pytest.raises(DatasetError, match=r"frame_2\.txt is not there"):
        list(mmi.read(mmi_root))


def test_an_image_in_both_lists_is_refused(mmi_root):
    path = mmi_root / BASE / "list/id_val_list_crossval0.txt"
    path.write_text(path.read_text() + "S000/frame_0\n")
    with pytest.raises(DatasetError, match="must share no image, both have 'S000/frame_0'"):
        list(mmi.read(mmi_root))


@pytest.mark.parametrize(("text", "message"), [("", "an empty list"), ("a\nb\na\n", "got 'a' 2 times")])
def test_a_list_must_name_every_image_once(mmi_root, text, message):
    (mmi_root / BASE / "list/id_train_list_crossval0.txt").write_text(text)
    with pytest.raises(DatasetError, match=message):
        list(mmi.read(mmi_root))
