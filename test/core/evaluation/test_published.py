"""Published results: transcribed without slips, and compared only under their own protocol."""

from __future__ import annotations

import pytest

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError
from aue_crl_core.evaluation import published

CLASSES = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]

RAF_DB = """
DCNN-DA    | 78.4 | 64.4 | 62.2 | 91.1 | 80.6 | 81.2 | 84.5 | 77.5
WSLGRN     | 75.3 | 56.9 | 63.5 | 93.8 | 85.4 | 83.5 | 85.4 | 77.7
CP         | 80.0 | 61.0 | 61.0 | 93.0 | 89.0 | 86.0 | 86.0 | 79.4
CompactDLM | 74.5 | 67.6 | 46.9 | 82.3 | 59.1 | 58.0 | 84.6 | 67.6
FSN        | 72.8 | 46.9 | 56.8 | 90.5 | 76.9 | 81.6 | 81.8 | 72.5
DLP-CNN    | 71.6 | 52.2 | 62.2 | 92.8 | 80.3 | 80.1 | 81.2 | 74.2
MRE-CNN    | 84.0 | 57.5 | 60.8 | 88.8 | 80.2 | 79.9 | 86.0 | 76.7
AUE-CRL    | 80.5 | 67.6 | 68.9 | 94.1 | 85.8 | 83.6 | 86.4 | 81.0
"""
SFEW = """
CP      | 66.0 | 0.0  | 14.0 | 90.0 | 86.0 | 66.0 | 29.0 | 50.1
DLP-CNN | -    | -    | -    | -    | -    | -    | -    | 51.1
IA-CNN  | 70.7 | 0.0  | 8.9  | 70.4 | 60.3 | 58.8 | 28.9 | 42.6
IL      | 61.0 | 0.0  | 6.4  | 89.0 | 66.2 | 48.0 | 33.3 | 43.4
AUE-CRL | 75.3 | 17.4 | 25.5 | 86.3 | 72.1 | 50.7 | 42.1 | 52.8
"""
"""The tables of Pu et al. (ICRA 2021) as printed: recall of `CLASSES`, then their average."""

RECALL_ROWS = [
    pytest.param(protocol, row, id=f"{protocol.name}-{row.method}")
    for protocol in published.PROTOCOLS
    for row in protocol.rows
    if row.recall
]


@pytest.mark.parametrize(("protocol", "row"), RECALL_ROWS)
def test_the_printed_average_is_the_mean_of_the_printed_recalls(
    protocol: published.Protocol, row: published.PublishedRow
) -> None:
    assert len(row.recall) == len(protocol.classes)
    printed_low = 0.14 if (protocol.name, row.method) == ("raf-db", "DLP-CNN") else 0
    assert row.mean_class_accuracy == pytest.approx(sum(row.recall) / len(row.recall) - printed_low, abs=0.051)


@pytest.mark.parametrize(("name", "table"), [("raf-db", RAF_DB), ("sfew", SFEW)])
def test_every_row_is_the_papers(name: str, table: str) -> None:
    protocol = published.find(name)
    assert list(protocol.classes) == CLASSES
    lines = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    assert [row.method for row in protocol.rows] == [line[0] for line in lines]
    for row, (method, *recall, average) in zip(protocol.rows, lines, strict=True):
        assert list(row.recall or ["-"] * 7) == [cell if cell == "-" else float(cell) for cell in recall], method
        assert (row.mean_class_accuracy, row.accuracy) == (float(average), None)


@pytest.mark.parametrize(("name", "average"), [("raf-db", 81.0), ("sfew", 52.8)])
def test_the_paper_that_this_project_implements_closes_its_tables(name: str, average: float) -> None:
    row = published.rows_for(name)[-1]
    assert (row.method, row.mean_class_accuracy) == ("AUE-CRL", average)
    assert "Pu et al." in row.source


def test_ferplus_has_the_accuracy_of_its_own_paper() -> None:
    (row,) = published.rows_for("ferplus")
    assert (row.accuracy, row.mean_class_accuracy, row.recall) == (84.99, None, None)
    assert "Barsoum" in row.source


def test_an_unknown_protocol_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'raf-db', 'sfew', 'ferplus'\], got 'kdef'"):
        published.rows_for("kdef")
    assert published.find("kdef") is None


def test_comparable_only_with_the_same_classes_on_the_whole_split() -> None:
    raf = published.find("raf-db")
    assert raf.difference(facs.BASIC_EXPRESSIONS, 3068) is None
    assert raf.difference(facs.BASIC_EXPRESSIONS, 1098) == "it scores 3068 images, this evaluation 1098"
    assert "this evaluation 11" in raf.difference(facs.COMPOUND_EXPRESSIONS, 3068)


def test_a_split_of_the_right_size_is_still_another_split() -> None:
    raf = published.find("raf-db")
    assert raf.difference(facs.BASIC_EXPRESSIONS, 3068, "test") is None
    why = raf.difference(facs.BASIC_EXPRESSIONS, 3068, "valid")
    assert why == "it scores the split 'test', this evaluation 'valid'"
    assert published.find("sfew").difference(facs.BASIC_EXPRESSIONS, 436, "test") is None, "SFEW's Val is our test"


def test_nothing_is_published_here_for_compound_expressions() -> None:
    assert published.find("raf-db-compound") is None


def test_the_seven_class_protocol_is_not_the_eight_class_one() -> None:
    why = published.find("ferplus").difference(facs.BASIC_EXPRESSIONS, 3500)
    assert why == "it has 8 classes (with contempt), this evaluation 7"
