"""From predictions made by hand to the report's figures."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

from aue_crl_core.comparison.plot import plot_comparison
from aue_crl_core.comparison.predictions import About, Predictions
from aue_crl_core.comparison.report import tables, write_report
from aue_crl_core.comparison.results import read_results
from aue_crl_core.errors import DatasetError

CLASSES = ("surprise", "fear", "anger")
LABELS = (0, 0, 0, 1)
"""Three surprised faces of one data set, a fearful one of another; no angry one."""
METHODS = {"softmax": "Softmax", "island": "IL", "aue_crl": "AUE-CRL", "ia_cnn": "IA-CNN"}
SAID = {
    ("softmax", 0): (0, 0, 1, 1),  # 3 of 4; recall 2/3 and 1
    ("softmax", 1): (0, 0, 0, 2),  # 3 of 4; recall 1 and 0
    ("island", 0): (0, 0, 0, 1),  # all
    ("island", 1): (0, 1, 1, 1),  # 2 of 4; recall 1/3 and 1
    ("aue_crl", 0): (0, 0, 0, 1),
}


def predictions(method: str, seed: int, said: tuple[int, ...], images: str = "abcd") -> Predictions:
    rows = np.full((len(said), 3), 0.1, np.float32)
    rows[np.arange(len(said)), said] = 0.8
    epochs = {"expression": 3, "joint": 1} if method == "aue_crl" else {"expression": 4}
    valid = {"accuracy": 0.5, "mean_class_accuracy": 0.25}
    start = "random weights" if method == "island" else "imagenet"
    about = About(method, seed, start, epochs, epochs, valid, 90.0, 2_000_000, 50_000_000)
    return Predictions(about, CLASSES, ("raf-db",) * 3 + ("ferplus",), tuple(images), np.array(LABELS), rows)


@pytest.fixture
def directory(tmp_path):
    for (method, seed), said in SAID.items():
        predictions(method, seed, said).write(tmp_path / "predictions" / method / f"seed-{seed}.parquet")
    return tmp_path


@pytest.fixture
def about():
    return {
        "config": {"model": "edge"},
        "data": [{"layout": "ferplus", "images": {"train": 9}}],
        "split": "test",
        "failed": {"ia_cnn seed 0": "DatasetError: who|what"},
        "milliseconds": {"island": 1.234},
    }


def test_a_file_says_what_was_written_and_a_damaged_one_is_named(tmp_path):
    written = predictions("softmax", 0, (0, 0, 1, 1))
    written.write(tmp_path / "x.parquet")
    read = Predictions.read(tmp_path / "x.parquet")
    assert (read.about, read.classes, read.data, read.images) == (
        written.about,
        written.classes,
        written.data,
        written.images,
    )
    np.testing.assert_array_equal(read.labels, written.labels)
    np.testing.assert_array_equal(read.probabilities, written.probabilities)
    assert read.right.tolist() == [True, True, False, True]
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"x\.parquet must be a Parquet file"):
        Predictions.read(tmp_path / "x.parquet")


def test_an_index_is_no_file_of_predictions(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(DatasetError, match="must hold the predictions of a comparison's run"):
        Predictions.read(tmp_path / "x.parquet")


def test_means_and_spreads_over_seeds_by_hand(directory):
    softmax, island, aue_crl = read_results(directory, METHODS)
    assert softmax.accuracy.values == (0.75, 0.75)
    assert softmax.accuracy.deviation == 0
    assert (island.accuracy.mean, island.accuracy.deviation) == (0.75, pytest.approx(0.5**0.5 / 2))
    assert softmax.mean_class_accuracy.values == pytest.approx((5 / 6, 0.5))
    assert island.mean_class_accuracy.values == pytest.approx((1, 2 / 3))
    assert softmax.recall["surprise"].mean == pytest.approx(5 / 6)
    assert softmax.recall["anger"] is None
    assert (aue_crl.accuracy.mean, aue_crl.accuracy.deviation) == (1, None)
    assert island.accuracy_on("ferplus").values == (1, 1)
    assert island.accuracy_on("raf-db").values == pytest.approx((1, 1 / 3))


def test_the_difference_is_that_of_the_shares_of_seeds_which_are_right_about_a_face(directory):
    softmax, island, aue_crl = read_results(directory, METHODS)
    assert softmax.against is None
    assert softmax.right.tolist() == [1, 1, 0.5, 0.5]
    assert island.right.tolist() == [1, 0.5, 0.5, 1]
    assert island.against.mean == 0  # 0, -1/2, 0, 1/2
    assert island.against.p == 1
    assert aue_crl.against.mean == 0.25  # 0, 0, 1/2, 1/2: none is left where no draw has the last two
    assert aue_crl.against.p == pytest.approx(2 * 0.5**4, abs=0.02)


def test_without_softmax_nothing_is_compared_with_it(directory):
    assert [r.against for r in read_results(directory, {"island": "IL", "aue_crl": "AUE-CRL"})] == [None, None]


def test_runs_tested_on_other_faces_are_refused(directory):
    predictions("island", 2, (0, 0, 0, 1), "abce").write(directory / "predictions" / "island" / "seed-2.parquet")
    with pytest.raises(DatasetError, match="tested on the same faces, got 4 of softmax seed 0 and 4 others of island"):
        read_results(directory, METHODS)


def test_nothing_finished_is_nothing_to_report(tmp_path):
    with pytest.raises(DatasetError, match=r"no run in .* is finished yet"):
        read_results(tmp_path, METHODS)


def test_the_report_has_the_figures_and_what_was_published_beside_them(directory, about):
    results = read_results(directory, METHODS)
    accuracies, recall, by_data, costs, failed = tables(results, about)
    rows = {row[0]: row[1:] for row in accuracies.rows}
    assert rows["Softmax"] == ("2", "75.0 ± 0.0", "66.7 ± 23.6", "-", "-", "-", "-")
    assert rows["IL"][:4] == ("2", "75.0 ± 35.4", "83.3 ± 23.6", "+0.0 [-37.5, +37.5]")
    assert rows["IL"][5:] == ("-", "43.4")
    assert rows["AUE-CRL"][:2] == ("1", "100.0")
    assert rows["AUE-CRL"][5:] == ("81.0", "52.8")
    assert [row[0] for row in recall.rows] == [
        "Softmax",
        "IL",
        "  published, SFEW",
        "AUE-CRL",
        "  published, RAF-DB",
        "  published, SFEW",
    ]
    assert recall.rows[2][1:] == ("33.3", "6.4", "61.0")
    assert recall.rows[0][1:] == ("83.3 ± 23.6", "50.0 ± 70.7", "-")
    assert by_data.rows[0] == ("Softmax", "83.3 ± 23.6", "50.0 ± 70.7")
    assert costs.rows[1] == ("IL", "2.00", "50.0", "1.23", "1.5")
    assert failed.rows == (("ia_cnn seed 0", "DatasetError: who|what"),)

    text = write_report(directory, results, about).read_text()
    assert "Trained on ferplus (9)" in text
    assert "the split `test` opened: 3 of raf-db, 1 of ferplus" in text
    assert "start (imagenet)" in text
    assert "number of epochs (4 in all)" in text
    assert "IL, which has a trunk of its own, starts from random weights." in text
    assert "AUE-CRL shares its 4 epochs among its stages: expression 3, joint 1." in text
    assert "not to be compared with" in text
    assert "| AUE-CRL, seed 0 | 3 + 1 | 3 + 1 | 50.0 | 25.0 | 100.0 | 100.0 |" in text
    assert r"| ia_cnn seed 0 | DatasetError: who\|what |" in text
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| Softmax |")} == {
        9,
        5,
        4,
        6,
    }


def test_the_csv_has_a_row_for_every_run_and_the_means(directory, about):
    write_report(directory, read_results(directory, METHODS), about)
    with (directory / "results.csv").open() as file:
        rows = {(row["method"], row["seed"]): row for row in csv.DictReader(file)}
    assert list(rows) == [
        *(("softmax", seed) for seed in ("0", "1", "mean", "deviation")),
        *(("island", seed) for seed in ("0", "1", "mean", "deviation")),
        *(("aue_crl", seed) for seed in ("0", "mean", "deviation")),
    ]
    assert float(rows["island", "1"]["accuracy"]) == 0.5
    assert float(rows["island", "mean"]["accuracy"]) == 0.75
    assert float(rows["island", "mean"]["milliseconds"]) == 1.234
    assert float(rows["island", "deviation"]["recall/surprise"]) == pytest.approx(2 / 3 / 2**0.5)
    assert rows["softmax", "0"]["recall/anger"] == ""
    assert float(rows["aue_crl", "mean"]["against_softmax/mean"]) == 0.25
    assert rows["aue_crl", "0"]["epochs"] == "4"
    assert rows["aue_crl", "deviation"]["accuracy"] == ""


def test_the_plot_ranks_methods_and_draws_every_seed(directory):
    left, middle, right = plot_comparison(read_results(directory, METHODS), "title").axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["Softmax", "IL", "AUE-CRL"]
    dots = [line.get_xdata().tolist() for line in left.lines if line.get_marker() == "."]
    assert dots == [[75, 75], [100, 50], [100]]
    assert [text.get_text() for text in middle.texts] == ["66.7", "83.3", "100.0"]
    assert [text.get_text() for text in right.texts] == ["83", "50", "67", "100", "100", "100"]
