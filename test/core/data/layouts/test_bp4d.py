"""BP4D trees, made of a real photograph: the set's own layout and the reference code's."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from dataset_trees import POINTS, points_text, write

from aue_crl_core.data.layouts import bp4d
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS

SHEET = "AUCoding/AU_OCC/F001_T1.csv"
KNOWN = [unit for unit in bp4d.ACTION_UNITS if unit in ACTION_UNITS]


def units_of(record) -> dict[int, int]:
    return {unit: code for unit, code in zip(ACTION_UNITS, record.action_units, strict=True) if code != -1}


@pytest.fixture
def listed_root(tmp_path, place):
    """The reference code's tree: a frame a fold."""
    root = tmp_path / "listed"
    for fold, name in ((1, "F001_T1_7"), (2, "M011_T1_7"), (3, "F007_T1_7")):
        place(root / "2D_img" / f"{name}.jpg")
        write(root / "Annotations/AUs" / f"{name}.txt", "3 1\n6 2\n")
        write(root / "Annotations/Landmarks" / f"{name}.txt", points_text())
        write(root / f"list_experiment/id_fold{fold}.txt", name + "\n")
    write(root / "list_experiment/id_fold1_2.txt", "F001_T1_7\nM011_T1_7\n")
    return root


def test_frames_carry_the_benchmarks_units_without_14(bp4d_root):
    first, second, *_ = bp4d.read(bp4d_root)
    assert 14 not in KNOWN
    assert units_of(first) == {unit: int(unit in (6, 12)) for unit in KNOWN}
    assert units_of(second) == {unit: int(unit == 4) for unit in KNOWN if unit != 1}
    assert (first.label, first.subject) == (None, "F001")


def test_frame_numbers_with_zeros_before_them_are_found(bp4d_root):
    records = list(bp4d.read(bp4d_root))
    assert [r.image for r in records][:2] == ["2D+3D/F001/T1/0007.jpg", "2D+3D/F001/T1/0008.jpg"]
    assert all((bp4d_root / r.image).is_file() for r in records)


@pytest.mark.parametrize(("fold", "person"), [(1, "F001"), (2, "M011"), (3, "F007")])
def test_the_fold_is_the_test_split(bp4d_root, fold, person):
    records = list(bp4d.read(bp4d_root, fold=fold))
    assert {r.subject for r in records if r.split == "test"} == {person}
    assert len({r.subject for r in records if r.split == "train"}) == 2


def test_the_folds_share_the_41_persons():
    persons = [person for fold in bp4d.FOLDS for person in fold]
    assert sorted(persons) == [f"F{i:03}" for i in range(1, 24)] + [f"M{i:03}" for i in range(1, 19)]


def test_a_frame_without_any_code_is_listed_as_unusable(bp4d_root):
    lines = (bp4d_root / SHEET).read_text().splitlines()
    lines.append("9" + ",9" * (lines[0].count(",")))
    write(bp4d_root / SHEET, "\n".join(lines))
    records = [r for r in bp4d.read(bp4d_root) if not r.usable]
    assert [r.reason for r in records] == ["no action unit of this frame is coded"]


@pytest.mark.parametrize("fold", [0, 4])
def test_another_fold_is_refused(bp4d_root, fold):
    with pytest.raises(DatasetError, match=f"must be 1, 2 or 3, got {fold}"):
        bp4d.read(bp4d_root, fold=fold)


def test_an_intensity_is_refused_with_its_place(bp4d_root):
    text = (bp4d_root / SHEET).read_text()
    write(bp4d_root / SHEET, text.replace("\n7,0", "\n7,3"))
    with pytest.raises(DatasetError, match=r"F001_T1\.csv:2, AU 1 must be an occurrence, 0 or 1 .*got '3'"):
        list(bp4d.read(bp4d_root))


def test_a_sheet_of_another_form_is_named(bp4d_root):
    text = (bp4d_root / SHEET).read_text()
    write(bp4d_root / SHEET, text.replace(",12,", ",112,"))
    with pytest.raises(DatasetError, match=r"a column for every AU of .*, 12 missing"):
        list(bp4d.read(bp4d_root))
    write(bp4d_root / SHEET, text + "10,1,1\n")
    with pytest.raises(DatasetError, match=r"F001_T1\.csv:4 must have 16 cells, the first a frame number, got 3"):
        list(bp4d.read(bp4d_root))


def test_a_person_of_another_set_is_refused(bp4d_root):
    (bp4d_root / SHEET).rename(bp4d_root / "AUCoding/AU_OCC/F050_T1.csv")
    with pytest.raises(DatasetError, match="F050 is none of BP4D's 41 persons"):
        list(bp4d.read(bp4d_root))


def test_a_missing_part_is_named_with_its_archive(bp4d_root):
    shutil.rmtree(bp4d_root / "2D+3D")
    (bp4d_root / "2D+3D.tar.gz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no frames of BP4D: .*2D\+3D\.tar\.gz is still packed"):
        list(bp4d.read(bp4d_root))
    shutil.rmtree(bp4d_root / "AUCoding")
    (bp4d_root / "AUCoding.zip").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no BP4D under .*AUCoding.* is still packed"):
        list(bp4d.read(bp4d_root))


def test_the_reference_codes_tree(listed_root):
    records = list(bp4d.read(listed_root))
    assert [(r.subject, r.split) for r in records] == [("F001", "train"), ("M011", "train"), ("F007", "test")]
    assert units_of(records[0]) == {unit: int(unit in (6, 12)) for unit in KNOWN}
    np.testing.assert_allclose(records[0].points, POINTS, atol=1e-3)
    assert [r.subject for r in bp4d.read(listed_root, fold=2) if r.split == "train"] == ["F001", "F007"]


def test_an_empty_label_file_says_that_no_unit_is_seen(listed_root):
    write(listed_root / "Annotations/AUs/F001_T1_7.txt", "")
    assert units_of(next(bp4d.read(listed_root))) == dict.fromkeys(KNOWN, 0)


@pytest.mark.parametrize("text", ["12 1\n", "-1 1\n", "1\n", "a b\n"])
def test_a_wrong_label_file_is_named_with_its_line(listed_root, text):
    write(listed_root / "Annotations/AUs/F001_T1_7.txt", "0 1\n" + text)
    with pytest.raises(DatasetError, match=r"F001_T1_7\.txt:2"):
        list(bp4d.read(listed_root))


def test_a_missing_list_or_label_is_named(listed_root):
    (listed_root / "Annotations/AUs/F001_T1_7.txt").unlink()
    with pytest.raises(DatasetError, match=r"F001_T1_7\.txt is not there"):
        list(bp4d.read(listed_root))
    (listed_root / "list_experiment/id_fold3.txt").unlink()
    with pytest.raises(DatasetError, match=r"no list .*id_fold3\.txt .* there are: id_fold1\.txt, id_fold1_2\.txt"):
        list(bp4d.read(listed_root))
    shutil.rmtree(listed_root / "2D_img")
    with pytest.raises(DatasetError, match=r"expected the folder .*2D_img"):
        list(bp4d.read(listed_root))
