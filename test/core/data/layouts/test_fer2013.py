"""FER-2013: a table of pixels becomes pictures in class folders, once; folders are read as they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_trees import pixels_of, pixels_text, write

from aue_crl_core.data.layouts import fer2013
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS

HEADING = "emotion,pixels,Usage\n"


def _unpack(tmp_path: Path, *rows: str, heading: str = HEADING) -> Path:
    return fer2013.unpack(write(tmp_path / "t.csv", heading + "".join(f"{row}\n" for row in rows)), tmp_path / "out")


def test_every_row_becomes_a_picture_of_its_split_and_class(fer2013_root, tmp_path):
    folder = fer2013.unpack(fer2013_root, tmp_path / "fer.images")
    records = list(fer2013.read(folder))
    assert Counter(r.split for r in records) == {"train": 7, "valid": 2, "test": 2}
    labels = {r.image: BASIC_EXPRESSIONS[r.label] for r in records}
    for label, name in enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")):
        image = f"train/{name}/{label + 1:05}.png"
        assert labels[image] == name
        np.testing.assert_array_equal(cv2.imread(str(folder / image), cv2.IMREAD_UNCHANGED), pixels_of(label))
    assert labels["valid/happiness/00008.png"] == "happiness"
    assert labels["test/sadness/00011.png"] == "sadness"


def test_the_table_itself_may_be_root_and_its_heading_may_have_blanks(tmp_path):
    folder = _unpack(tmp_path, f"0,PrivateTest,{pixels_text(0)}", heading="emotion, Usage, pixels\n")
    assert [r.image for r in fer2013.read(folder)] == ["test/anger/00001.png"]


def test_a_table_without_usage_is_for_training(tmp_path):
    folder = _unpack(tmp_path, f"3,{pixels_text(0)}", heading="emotion,pixels\n")
    assert [r.split for r in fer2013.read(folder)] == ["train"]


@pytest.mark.parametrize(
    "names",
    [
        ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
        ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"),
    ],
)
def test_both_trees_of_folders_are_read_where_they_lie(tmp_path, place, names):
    for split in ("train", "test"):
        for name in names:
            place(tmp_path / split / name / "im0.jpg")
    assert fer2013.unpack(tmp_path, tmp_path / "none") == tmp_path
    records = list(fer2013.read(tmp_path))
    assert Counter(r.split for r in records) == {"train": 7, "test": 7}
    assert {r.label for r in records} == set(range(7))


def test_every_picture_is_a_face_as_a_whole(fer2013_root, tmp_path):
    records = list(fer2013.read(fer2013.unpack(fer2013_root, tmp_path / "out")))
    assert {(*r.box.as_list(), r.box_source) for r in records} == {(0, 0, 48, 48, "layout")}


def test_what_was_interrupted_goes_on_and_what_is_there_is_not_written_again(fer2013_root, tmp_path):
    folder = fer2013.unpack(fer2013_root, tmp_path / "fer.images")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    gone = folder / "train/fear/00003.png"
    gone.unlink()
    gone.with_name(gone.name + ".part").write_bytes(b"half")
    fer2013.unpack(fer2013_root, folder)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] != before[path]} <= {gone}
    assert not gone.with_name(gone.name + ".part").exists()


def test_pictures_of_another_table_are_replaced(tmp_path):
    _unpack(tmp_path, f"0,{pixels_text(0)},Training", f"1,{pixels_text(1)},Training")
    folder = _unpack(tmp_path, f"0,{pixels_text(2)},Training")
    (record,) = fer2013.read(folder)
    np.testing.assert_array_equal(cv2.imread(str(folder / record.image), cv2.IMREAD_UNCHANGED), pixels_of(2))


def test_a_folder_with_something_else_is_left_alone(fer2013_root, tmp_path, place):
    own = place(tmp_path / "fer.images/own.jpg")
    with pytest.raises(DatasetError, match=r"the pictures go to .*fer\.images, which holds something else"):
        fer2013.unpack(fer2013_root, own.parent)
    assert list(own.parent.iterdir()) == [own]


@pytest.mark.parametrize(
    ("emotion", "pixels", "rest", "message"),
    [
        ("0", " ".join(["7"] * 2303), ",Training", r"pixels must be 2304 numbers \(48x48\), got 2303"),
        ("0", "", ",Training", r"pixels must be 2304 numbers \(48x48\), got 0"),
        ("0", " ".join(["256"] * 2304), ",Training", r"pixels must be whole numbers in \[0, 255\], got '256'"),
        ("0", " ".join(["-1"] * 2304), ",Training", r"pixels must be whole numbers in \[0, 255\], got '-1'"),
        ("0", " ".join(["²"] * 2304), ",Training", r"pixels must be whole numbers in \[0, 255\], got '²'"),
        ("0", pixels_text(0), ",Holiday", "Usage must be Training, PublicTest or PrivateTest, got 'Holiday'"),
        ("7", pixels_text(0), ",Training", r"emotion must be in \[0, 6\], got '7'"),
        ("9" * 5000, pixels_text(0), ",Training", r"emotion must be in \[0, 6\], got '999"),
        ("0", pixels_text(0), "", "must have 3 cells as the heading has, got 2"),
        ("0", '"' + pixels_text(0), ",Training", "must be a line of CSV"),
    ],
    ids=lambda value: value[:12],
)
def test_a_row_that_does_not_fit_is_named_with_its_line(tmp_path, emotion, pixels, rest, message):
    with pytest.raises(DatasetError, match=rf"t\.csv:3:? {message}"):
        _unpack(tmp_path, f"0,{pixels_text(0)},Training", f"{emotion},{pixels}{rest}")


def test_a_table_of_something_else_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="must have the columns emotion, pixels, Usage, got image, label"):
        _unpack(tmp_path, "a.jpg,1", heading="image,label\n")
    (tmp_path / "t.csv").write_bytes(b"emotion,pixels,Usage\n0,\xff\xfe,Training\n")
    with pytest.raises(DatasetError, match=r"t\.csv must be UTF-8 text"):
        fer2013.unpack(tmp_path / "t.csv", tmp_path / "out")
