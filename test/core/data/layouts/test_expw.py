"""ExpW trees, made of a real photograph."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from dataset_trees import POINTS, write

from aue_crl_core.data.layouts import expw
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS

LIST = "data/label/label.lst"


def test_labels_and_boxes(expw_root):
    records = list(expw.read(expw_root))
    assert [BASIC_EXPRESSIONS[r.label] for r in records] == [
        "anger",
        "disgust",
        "fear",
        "happiness",
        "sadness",
        "surprise",
        "neutral",
    ]
    assert records[2].box.as_list() == [102, 40, 200, 220]
    assert {r.box_source for r in records} == {"layout"}
    assert all((expw_root / r.image).is_file() for r in records)


def test_a_photograph_with_two_faces_gives_two_records_in_one_split(expw_root):
    first, second, *_ = expw.read(expw_root)
    assert first.image == second.image
    assert first.box != second.box
    assert first.split == second.split


def test_a_tenth_of_the_photographs_is_the_test_split(expw_root):
    names = [f"happy_actor_{i}.jpg" for i in range(4000)]
    for name in names:
        (expw_root / "data/image/origin" / name).touch()
    write(expw_root / LIST, "".join(f"{name} 0 1 2 30 40 9.5 3\n" for name in names))
    records = list(expw.read(expw_root))
    assert 0.085 < sum(r.split == "test" for r in records) / 4000 < 0.115
    assert [r.split for r in expw.read(expw_root)] == [r.split for r in records]


def test_landmarks_count_from_the_corner_of_the_box(expw_root):
    line = (expw_root / LIST).read_text().splitlines()[3]
    numbers = " ".join(f"{v:.3f}" for v in POINTS.ravel())
    write(expw_root / "landmarks/ExpW_landmarks.txt", f"{line} {numbers}\n")
    records = list(expw.read(expw_root))
    np.testing.assert_allclose(records[3].points, POINTS + np.array([103, 40]), atol=1e-2)
    assert records[3].points_source == "layout"
    assert records[0].points is None
    write(expw_root / "landmarks/ExpW_landmarks.txt", f"{line} {numbers} 7\n")
    with pytest.raises(DatasetError, match=r"ExpW_landmarks\.txt:1 must read .* and 136 numbers"):
        list(expw.read(expw_root))


@pytest.mark.parametrize(
    "line",
    [
        "a.jpg 0 1 2 30 40 9.5 7",
        "a.jpg 0 1 2 30 40 9.5 -1",
        "a.jpg 0 1 2 30 40 9.5",
        "a.jpg 0 1 2 x 40 9.5 3",
        "a.jpg 3",
    ],
)
def test_a_wrong_line_is_named_with_its_number(expw_root, line):
    path = expw_root / LIST
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(DatasetError, match=rf"label\.lst:9 must read NAME FACE TOP .* \[0, 6\], got '{line}'"):
        list(expw.read(expw_root))


def test_an_empty_box_is_listed_and_not_dropped_silently(expw_root):
    write(expw_root / LIST, "a.jpg 0 10 20 20 40 9.5 3\n")
    (record,) = expw.read(expw_root)
    assert (record.usable, record.reason) == (False, "its box in label.lst is empty")


def test_a_face_listed_twice_is_refused(expw_root):
    path = expw_root / LIST
    path.write_text(path.read_text() * 2)
    with pytest.raises(DatasetError, match=r"label\.lst:8: face 1 of angry_actor_1\.jpg is listed twice"):
        list(expw.read(expw_root))


def test_images_still_packed_are_named(expw_root):
    shutil.rmtree(expw_root / "data/image/origin")
    (expw_root / "data/image/origin.7z.001").write_bytes(b"7z")
    (expw_root / "data/image/origin.7z.002").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no images of ExpW: .*origin\.7z\.001 and 1 more is still packed"):
        list(expw.read(expw_root))
    shutil.rmtree(expw_root / "data/label")
    with pytest.raises(DatasetError, match=r"no ExpW under .*label\.lst"):
        list(expw.read(expw_root))
