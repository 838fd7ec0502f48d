"""AffectNet trees, made of a real photograph."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_trees import POINTS

from aue_crl_core.data.layouts import affectnet
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS

SEVEN = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")


def test_seven_labels_of_each_part_with_points_valence_and_arousal(affectnet_root):
    records = [r for r in affectnet.read(affectnet_root) if r.usable]
    assert [(r.split, BASIC_EXPRESSIONS[r.label]) for r in records] == [
        (s, n) for s in ("train", "test") for n in SEVEN
    ]
    assert records[0].image == "train_set/images/0.jpg"
    assert {(r.valence, r.arousal) for r in records} == {(0.5, -0.25)}
    for record in records:
        assert (affectnet_root / record.image).is_file()
        np.testing.assert_allclose(record.points, POINTS)
        assert (record.box_source, record.points_source) == ("layout", "layout")


def test_contempt_and_what_is_no_expression_are_listed_and_left_out(affectnet_root):
    for name, label in (("6", 8), ("5", 10)):
        np.save(affectnet_root / "train_set/annotations" / f"{name}_exp.npy", np.array(label))
    left_out = {r.image: r.reason for r in affectnet.read(affectnet_root) if not r.usable and r.split == "train"}
    assert left_out == {
        "train_set/images/7.jpg": "labelled contempt, none of the seven expressions",
        "train_set/images/6.jpg": "labelled none, none of the seven expressions",
        "train_set/images/5.jpg": "labelled no face, none of the seven expressions",
    }


def test_minus_two_is_no_valence(affectnet_root):
    np.save(affectnet_root / "train_set/annotations/0_val.npy", np.array(-2))
    first = next(affectnet.read(affectnet_root))
    assert (first.valence, first.arousal) == (None, -0.25)


def test_beside_a_test_part_the_validation_part_is_valid(affectnet_root):
    (affectnet_root / "test_set/annotations").mkdir(parents=True)
    assert {r.split for r in affectnet.read(affectnet_root)} == {"train", "valid"}


def test_an_image_without_a_label_and_a_label_without_an_image_are_listed(affectnet_root):
    (affectnet_root / "val_set/annotations/2_exp.npy").unlink()
    (affectnet_root / "val_set/images/3.jpg").unlink()
    records = {r.image: r for r in affectnet.read(affectnet_root)}
    assert records["val_set/images/2.jpg"].reason == "it has no label in annotations/"
    assert records["val_set/images/3.jpg"].label == BASIC_EXPRESSIONS.index("surprise")


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("exp", np.array(11), r"0_exp\.npy must hold a label in \[0, 10\], got 11"),
        ("exp", np.array(1.5), r"0_exp\.npy must hold a label in \[0, 10\], got 1\.5"),
        ("exp", np.array([1, 2]), r"0_exp\.npy must hold 1 finite numbers, got 2"),
        ("exp", np.array("happy"), r"0_exp\.npy must be a NumPy file of numbers"),
        ("val", np.array(1.5), r"0_val\.npy must hold a number in \[-1, 1\], or -2 for none, got 1\.5"),
        ("aro", np.array(np.nan), r"0_aro\.npy must hold 1 finite numbers"),
        ("lnd", np.zeros(98), r"0_lnd\.npy must hold 136 finite numbers, got 98"),
    ],
)
def test_an_annotation_that_does_not_fit_is_named(affectnet_root, kind, value, message):
    np.save(affectnet_root / "train_set/annotations" / f"0_{kind}.npy", value)
    with pytest.raises(DatasetError, match=message):
        list(affectnet.read(affectnet_root))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (), }",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00\x50\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999,), }".ljust(90)
        + b"\n",
        b"\x93NUMPY\x01\x00\x20\x00{'descr': '|O', 'shape': ()".ljust(42),
    ],
)
def test_half_a_file_or_another_kind_is_named(affectnet_root, content):
    (affectnet_root / "train_set/annotations/0_exp.npy").write_bytes(content)
    with pytest.raises(DatasetError, match=r"0_exp\.npy must (be a NumPy file of numbers|hold 1 finite)"):
        list(affectnet.read(affectnet_root))
