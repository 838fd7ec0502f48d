"""KDEF and JAFFE trees, made of a real photograph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aue_crl_core.data.layouts import named_files
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS


def test_kdef_names_say_expression_and_person(kdef_root):
    records = {Path(r.image).stem: r for r in named_files.read_kdef(kdef_root)}
    assert len(records) == 22
    assert Counter(r.subject for r in records.values()) == {"F01": 15, "M02": 7}  # both sessions are one person
    labels = {name: BASIC_EXPRESSIONS[r.label] for name, r in records.items()}
    assert labels["AF01AFS"] == labels["AM02AFS"] == "fear"
    assert labels["AF01HAFL"] == "happiness"
    assert {r.split for r in records.values()} == {"train"}


def test_jaffe_names_say_expression_and_person(jaffe_root):
    rows = [(r.subject, BASIC_EXPRESSIONS[r.label]) for r in named_files.read_jaffe(jaffe_root)]
    expressions = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert rows == [*(("KA", e) for e in expressions), ("YM", "happiness")]


def test_images_of_another_name_are_listed_and_not_dropped_silently(kdef_root, place):
    place(kdef_root / "AKDEF/FAFFL.JPG")
    (other,) = [r for r in named_files.read_kdef(kdef_root) if not r.usable]
    assert (other.image, other.reason) == ("AKDEF/FAFFL.JPG", "its name does not read like AF01ANS")


def test_a_folder_without_such_names_is_refused_with_what_lies_there(jaffe_root):
    message = r"expected images called like AF01ANS, none of 8 is; found in .*: the files KA\.AN1\.39\.tiff"
    with pytest.raises(DatasetError, match=message):
        list(named_files.read_kdef(jaffe_root))
