"""Published results: transcribed without slips, and compared only under their own protocol."""

from __future__ import annotations

import pytest

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError
from aue_crl_core.evaluation import published

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


def test_the_seven_class_protocol_is_not_the_eight_class_one() -> None:
    why = published.find("ferplus").difference(facs.BASIC_EXPRESSIONS, 3500)
    assert why == "it has 8 classes (with contempt), this evaluation 7"
