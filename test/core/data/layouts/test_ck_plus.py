"""CK+ trees, made of a real photograph."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import POINTS, write

from aue_crl_core.data.layouts import ck_plus
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS, BASIC_EXPRESSIONS

DISGUST = "S005/001/S005_001_00000011"


def _records(root):
    return {r.image.removeprefix("cohn-kanade-images/"): r for r in ck_plus.read(root)}


def _seen(record) -> list[int]:
    return [unit for unit, code in zip(ACTION_UNITS, record.action_units, strict=True) if code == 1]


def test_the_last_frame_of_a_sequence_is_its_emotion_and_the_first_is_neutral(ck_plus_root):
    labels = {name: r.label for name, r in _records(ck_plus_root).items()}
    expected = {
        "S005/001/S005_001_00000011.png": "disgust",
        "S005/001/S005_001_00000001.png": "neutral",
        "S010/002/S010_002_00000011.png": None,
        "S010/002/S010_002_00000001.png": "neutral",
        "S010/003/S010_003_00000011.png": None,
        "S011/001/S011_001_00000011.png": "happiness",
        "S011/001/S011_001_00000001.png": "neutral",
    }
    assert labels == {name: None if e is None else BASIC_EXPRESSIONS.index(e) for name, e in expected.items()}


def test_facs_codes_are_the_units_of_the_last_frame(ck_plus_root):
    records = _records(ck_plus_root)
    disgust = records["S005/001/S005_001_00000011.png"]
    assert _seen(disgust) == [9, 17]  # an intensity of 0 is one that was not given
    assert set(disgust.action_units) == {0, 1}
    assert _seen(records["S010/003/S010_003_00000011.png"]) == [12]
    assert records["S005/001/S005_001_00000001.png"].action_units is None
    assert records["S011/001/S011_001_00000011.png"].action_units is None


def test_contempt_keeps_its_units_only_and_says_why(ck_plus_root):
    contempt = _records(ck_plus_root)["S010/002/S010_002_00000011.png"]
    assert (contempt.label, contempt.usable) == (None, True)
    assert contempt.reason == "labelled contempt, none of the seven expressions"
    (ck_plus_root / "FACS/S010/002/S010_002_00000011_facs.txt").unlink()
    assert not _records(ck_plus_root)["S010/002/S010_002_00000011.png"].usable


def test_persons_are_known_and_landmarks_are_used(ck_plus_root):
    records = _records(ck_plus_root)
    assert {name[:4] for name in records} == {r.subject for r in records.values()} == {"S005", "S010", "S011"}
    assert {r.split for r in records.values()} == {"train"}
    np.testing.assert_allclose(records["S005/001/S005_001_00000011.png"].points, POINTS, atol=1e-3)
    assert records["S005/001/S005_001_00000001.png"].points is None


def test_archives_that_were_unpacked_into_folders_of_their_own(ck_plus_root):
    before = {name: (r.label, r.action_units) for name, r in _records(ck_plus_root).items()}
    for name, within in (
        ("cohn-kanade-images", "extended-cohn-kanade-images"),
        ("Emotion", "Emotion_labels"),
        ("FACS", "FACS_labels"),
    ):
        (ck_plus_root / within).mkdir()
        (ck_plus_root / name).rename(ck_plus_root / within / name)
    records = ck_plus.read(ck_plus_root)
    prefix = "extended-cohn-kanade-images/cohn-kanade-images/"
    assert {r.image.removeprefix(prefix): (r.label, r.action_units) for r in records} == before


def test_labels_whose_images_are_not_there_name_the_image(ck_plus_root):
    apex = ck_plus_root / "cohn-kanade-images/S005/001/S005_001_00000011.png"
    apex.unlink()
    half = _records(ck_plus_root)
    for frame in apex.parent.iterdir():
        frame.unlink()
    none = _records(ck_plus_root)
    for records in (half, none):  # no other frame stands for the one that is not there
        assert BASIC_EXPRESSIONS[records["S005/001/S005_001_00000011.png"].label] == "disgust"
    assert set(half) - set(none) == {"S005/001/S005_001_00000001.png"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (f"Emotion/{DISGUST}_emotion.txt", "8\n", r"_emotion\.txt must hold one label in \[0, 7\], got \[\[8\.0\]\]"),
        (f"Emotion/{DISGUST}_emotion.txt", "1\n2\n", r"_emotion\.txt must hold one label in \[0, 7\]"),
        (f"Emotion/{DISGUST}_emotion.txt", "", r"_emotion\.txt must hold one number, got an empty file"),
        (f"Emotion/{DISGUST}_emotion.txt", "fear", r"_emotion\.txt must hold one number: could not convert"),
        (f"FACS/{DISGUST}_facs.txt", "9\n", r"_facs\.txt must hold lines AU INTENSITY, got \[\[9\.0\]\]"),
        (f"FACS/{DISGUST}_facs.txt", "9.5 1\n", r"_facs\.txt must name AUs by their code in \[1, 99\], got 9\.5"),
        (f"FACS/{DISGUST}_facs.txt", "nan 1\n", r"_facs\.txt must name AUs by their code in \[1, 99\], got nan"),
        ("FACS/S005/001/S005_001_00000002_facs.txt", "9 1\n", "must hold one label file, got S005_001_00000002_facs"),
    ],
)
def test_a_label_file_of_another_form_is_named(ck_plus_root, name, text, message):
    write(ck_plus_root / name, text)
    with pytest.raises(DatasetError, match=message):
        list(ck_plus.read(ck_plus_root))
