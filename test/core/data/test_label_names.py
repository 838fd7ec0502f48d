"""Names of expressions and splits, as datasets spell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aue_crl_core.data.names import EXPRESSIONS, SPLITS, expression_of, split_of
from aue_crl_core.facs import BASIC_EXPRESSIONS, ROS4HRI_EXPRESSIONS


def test_the_table_has_the_seven_expressions_and_no_name_twice():
    assert tuple(EXPRESSIONS) == BASIC_EXPRESSIONS
    for table in (EXPRESSIONS, SPLITS):
        names = [name for key, others in table.items() for name in (key, *others)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "names",
    [
        ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"),  # FER-2013 on Kaggle
        ("surprised", "fearful", "disgusted", "happy", "sad", "angry", "neutral"),  # another such tree
        ("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral"),  # AffectNet, RAF-DB
        ("SU", "AF", "DI", "HA", "SA", "AN", "NE"),  # KDEF
        ("SU", "FE", "DI", "HA", "SA", "AN", "NE"),  # JAFFE
        tuple(ROS4HRI_EXPRESSIONS.values()),
    ],
)
def test_the_seven_by_the_names_of_a_set(names):
    for case in (str, str.upper, str.title):
        assert [expression_of(case(name)) for name in names] == list(BASIC_EXPRESSIONS)


@pytest.mark.parametrize("name", ["contempt", "", "0", "holiday", "happily surprised"])
def test_another_name_is_no_expression(name):
    assert expression_of(name) is None


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "Train", "TRAINING", " training "]),
        ("valid", ["val", "Valid", "validation", "DEV", "PublicTest"]),
        ("test", ["test", "Testing", "PrivateTest"]),
    ],
)
def test_splits_by_any_of_their_names(split, names):
    assert {split_of(name) for name in names} == {split}


def test_another_name_is_no_split():
    assert split_of("holiday") is None


def test_the_document_has_the_same_names():
    rows = [line.strip("| \n").split(" | ") for line in (Path(__file__).parents[3] / "docs/datasets.md").open()]
    told = {row[0].removeprefix("split ").strip("`"): row[1].split(", ") for row in rows if len(row) == 2}
    for key, others in (EXPRESSIONS | SPLITS).items():
        assert [name.lower() for name in told[key]] == list(others)
