"""SFEW 2.0 trees, made of a real photograph."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import POINTS, points_text, write

from aue_crl_core.data.layouts import sfew
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS

EXPECTED = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}


def test_every_class_of_both_parts_is_read(sfew_root):
    records = list(sfew.read(sfew_root))
    assert len(records) == 14
    for record in records:
        part, name, _ = Path(record.image).parts
        assert BASIC_EXPRESSIONS[record.label] == EXPECTED[name]
        assert record.split == {"Train": "train", "Val": "test"}[part]
        assert (sfew_root / record.image).is_file()
        assert (record.box, record.points) == (None, None)


def test_the_reference_codes_tree_with_landmarks(sfew_root):
    for part in ("Train", "Val"):
        (sfew_root / part).rename(sfew_root / "imgs")
        (sfew_root / part).mkdir()
        (sfew_root / "imgs").rename(sfew_root / part / "imgs")
    landmarks = sfew_root / "Train/Annotations/Landmarks_68_FAN"
    write(landmarks / "Sad/Film_Sad_0001.txt", points_text())
    write(landmarks / "Fear/Film_Fear_0001.txt", "0\n")
    records = {r.image: r for r in sfew.read(sfew_root)}
    sad = records["Train/imgs/Sad/Film_Sad_0001.png"]
    np.testing.assert_allclose(sad.points, POINTS, atol=1e-3)
    assert (sad.box_source, sad.points_source) == ("layout", "layout")
    np.testing.assert_allclose(sad.box.as_list()[:2], POINTS.min(axis=0), atol=1e-3)
    assert records["Train/imgs/Fear/Film_Fear_0001.png"].points is None


def test_a_list_says_what_belongs(sfew_root):
    write(sfew_root / "list_experiment/id_train_list.txt", "Sad/Film_Sad_0001\nHappy/gone_0001\n")
    train = [r for r in sfew.read(sfew_root) if r.split == "train"]
    used = [r.image for r in train if r.usable]
    assert used == ["Train/Sad/Film_Sad_0001.png", "Train/Happy/gone_0001.png"]
    left_out = [r for r in train if not r.usable]
    assert len(left_out) == 6
    assert {r.reason for r in left_out} == {"not named by list_experiment/id_train_list.txt"}


@pytest.mark.parametrize("line", ["Contempt/a_1", "a_1"])
def test_a_list_of_another_form_is_refused(sfew_root, line):
    write(sfew_root / "list_experiment/id_val_list.txt", f"Sad/Film_Sad_0001\n{line}\n")
    with pytest.raises(DatasetError, match=rf"id_val_list\.txt must name CLASS/NAME .* got '{line}'"):
        list(sfew.read(sfew_root))


@pytest.mark.parametrize(("part", "gone"), [("Val", "Val"), ("Train/Disgust", "Disgust")])
def test_a_missing_part_or_class_is_named_with_the_archive_beside_it(sfew_root, part, gone):
    shutil.rmtree(sfew_root / part)
    with pytest.raises(DatasetError, match=rf"expected a folder for each of .*{gone}.* missing"):
        list(sfew.read(sfew_root))
    archive = (sfew_root / part).with_suffix(".zip")
    archive.write_bytes(b"PK")
    with pytest.raises(DatasetError, match=rf"{archive.name} is still packed"):
        list(sfew.read(sfew_root))


@pytest.mark.parametrize("text", ["1 2\n3 4\n", "a b\n" * 68, "1 2 3\n" * 68, "1 nan\n" * 68])
def test_a_damaged_landmark_file_is_named(sfew_root, text):
    write(sfew_root / "Val/Annotations/Landmarks_68_FAN/Sad/Film_Sad_0001.txt", text)
    with pytest.raises(DatasetError, match=r"Film_Sad_0001\.txt must hold 68 lines of x y"):
        list(sfew.read(sfew_root))
