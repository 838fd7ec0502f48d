"""RAF-DB trees, made of real photographs."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import POINTS, points_text, write

from aue_crl_core.data.layouts import raf_db
from aue_crl_core.errors import DatasetError

LIST = "EmoLabel/list_patition_label.txt"


@pytest.fixture
def compound(raf_root: Path, tmp_path: Path) -> Path:
    """A tree whose compound part holds eleven photographs, one of each class."""
    originals = sorted((raf_root / "basic/Image/original").iterdir())[:11]
    folder = tmp_path / "compound"
    (folder / "EmoLabel").mkdir(parents=True)
    (folder / "Image/original").mkdir(parents=True)
    names = [f"{'train' if i < 8 else 'test'}_{i:04d}.jpg" for i in range(11)]
    for name, original in zip(names, originals, strict=True):
        shutil.copy(original, folder / "Image/original" / name)
    (folder / LIST).write_text("".join(f"{name} {i}\n" for i, name in enumerate(names, start=1)))
    return tmp_path


def _box_file(root: Path, name: str, text: str) -> None:
    folder = root / "compound/Annotation/boundingbox"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_basic_records(raf_root):
    records = list(raf_db.read_basic(raf_root))
    assert Counter(r.split for r in records) == {"train": 48, "test": 24}
    assert all((raf_root / r.image).is_file() for r in records)
    first = (raf_root / "basic" / LIST).read_text().splitlines()[0].split()
    assert records[0].image == f"basic/Image/original/{first[0]}"
    assert records[0].label == int(first[1]) - 1
    assert records[0].box is None


def test_compound_records(compound):
    records = list(raf_db.read_compound(compound))
    assert [r.label for r in records] == list(range(11))
    assert [r.split for r in records] == ["train"] * 8 + ["test"] * 3


@pytest.mark.parametrize("name", ["train_0000_boundingbox.txt", "train_0000.txt"])
def test_boxes_are_read_under_both_names(compound, name):
    _box_file(compound, name, "10.5 20 110.5 140\n")
    record, other, *_ = raf_db.read_compound(compound)
    assert record.box.as_list() == [10.5, 20, 100, 120]
    assert record.box_source == "layout"
    assert other.box is None


@pytest.mark.parametrize("text", ["", "1 2 3", "1 2 3 4 5", "a b c d", "10 10 5 20", "1 1 nan 9", "1 1 inf 9"])
def test_a_damaged_box_file_is_named(compound, text):
    _box_file(compound, "train_0000.txt", text)
    with pytest.raises(DatasetError, match=r"train_0000\.txt must hold x1 y1 x2 y2"):
        list(raf_db.read_compound(compound))


def test_where_only_the_aligned_crops_are_there_they_are_taken(compound):
    images = compound / "compound/Image"
    (images / "original").rename(images / "aligned")
    for path in (images / "aligned").iterdir():
        path.rename(path.with_name(f"{path.stem}_aligned.jpg"))
    _box_file(compound, "train_0000.txt", "10 20 110 140")
    records = list(raf_db.read_compound(compound))
    assert records[0].image == "compound/Image/aligned/train_0000_aligned.jpg"
    assert all((compound / r.image).is_file() for r in records)
    assert records[0].box is None  # it is a box in the photograph


def test_a_missing_part_is_named(raf_root, compound):
    with pytest.raises(DatasetError, match="no RAF-DB compound part"):
        list(raf_db.read_compound(raf_root))
    shutil.rmtree(compound / "compound/Image")
    with pytest.raises(DatasetError, match="Image/original"):
        list(raf_db.read_compound(compound))


@pytest.mark.parametrize("line", ["train_0001.jpg", "train_0001.jpg 0", "train_0001.jpg 12", "train_0001.jpg ²", "x"])
def test_a_wrong_label_is_named_with_its_line(compound, line):
    path = compound / "compound" / LIST
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(
        DatasetError, match=rf"label\.txt:12 must read NAME LABEL with LABEL in \[1, 11\], got '{line}'"
    ):
        list(raf_db.read_compound(compound))


@pytest.mark.parametrize("name", ["0001.jpg", "_0001.jpg"])
def test_a_name_without_its_split_is_refused(compound, name):
    (compound / "compound" / LIST).write_text(f"{name} 1\n")
    with pytest.raises(DatasetError, match="must begin with its split"):
        list(raf_db.read_compound(compound))


def test_blank_lines_tabs_and_a_byte_order_mark_do_no_harm(compound):
    path = compound / "compound" / LIST
    path.write_text("\ufeff" + path.read_text().replace(" ", "\t") + "\n\n", encoding="utf-8")
    assert [r.label for r in raf_db.read_compound(compound)] == list(range(11))


def test_landmarks_count_from_the_corner_of_the_box(compound):
    write(compound / "compound/Annotation/Landmarks_68_FAN_bbox/train_0000.txt", points_text())
    assert next(raf_db.read_compound(compound)).points is None  # there is no corner to count from
    _box_file(compound, "train_0000.txt", "10.5 20 110.5 140\n")
    record, other, *_ = raf_db.read_compound(compound)
    np.testing.assert_allclose(record.points, POINTS + np.array([10.5, 20]), atol=1e-3)
    assert (record.points_source, other.points) == ("layout", None)


def test_the_aligned_crops_on_demand_with_their_own_landmarks(compound):
    images = compound / "compound/Image"
    with pytest.raises(DatasetError, match="no aligned images of RAF-DB compound"):
        list(raf_db.read_compound(compound, aligned=True))
    for path in (images / "original").iterdir():
        write(images / "aligned" / f"{path.stem}_aligned.jpg", "")
    write(compound / "compound/Annotation/Landmarks_68_FAN_aligned/train_0000.txt", points_text())
    record, other, *_ = raf_db.read_compound(compound, aligned=True)
    assert record.image == "compound/Image/aligned/train_0000_aligned.jpg"
    np.testing.assert_allclose(record.points, POINTS, atol=1e-3)
    assert (other.box, other.points) == (None, None)


def test_a_name_listed_twice_is_refused(compound):
    path = compound / "compound" / LIST
    path.write_text(path.read_text() + "train_0000.jpg 3\n")
    with pytest.raises(DatasetError, match=r"label\.txt:12: train_0000\.jpg is listed twice"):
        list(raf_db.read_compound(compound))


def test_an_archive_beside_a_missing_part_is_named(compound):
    shutil.rmtree(compound / "compound/Image/original")
    (compound / "compound/Image/original.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"Image/original \(or aligned\); .*original\.zip is still packed"):
        list(raf_db.read_compound(compound))
