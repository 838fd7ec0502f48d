"""Metrics: hand-counted cases, torchmetrics as a second opinion, and what a face that was not found costs."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.errors import DatasetError
from aue_crl_core.evaluation.metrics import NUM_BINS, ReliabilityBin, calibration_error_by_chance, compute

NAMES = ("calm", "glad", "sad")


def one_hot(predicted: list[int | None], classes: int = 3, confidence: float = 1.0) -> np.ndarray:
    """Rows that predict the given classes; None is a face that was not found."""
    rows = np.full((len(predicted), classes), (1 - confidence) / (classes - 1))
    for row, label in zip(rows, predicted, strict=True):
        if label is None:
            row[:] = np.nan
        else:
            row[label] = confidence
    return rows


@st.composite
def scored(draw: st.DrawFn, classes: int = 4, missed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of 1-60 images, some of them missed."""
    n = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = random.integers(0, classes, n)
    rows = random.dirichlet(np.full(classes, 0.4), n)
    if missed:
        rows[random.random(n) < 0.3] = np.nan
    return labels, rows


def test_hand_counted() -> None:
    labels = [0, 0, 0, 0, 1, 1, 2]
    result = compute(labels, one_hot([0, 0, 0, 1, 1, 2, 2]), NAMES)
    assert result.n == 7
    assert result.confusion == ((3, 1, 0), (0, 1, 1), (0, 0, 1))
    assert result.accuracy == pytest.approx(5 / 7)
    assert result.per_class_recall == pytest.approx({"calm": 0.75, "glad": 0.5, "sad": 1.0})
    assert result.mean_class_accuracy == pytest.approx(0.75)
    assert result.macro_f1 == pytest.approx((6 / 7 + 2 / 4 + 2 / 3) / 3)
    assert result.ece == pytest.approx(2 / 7)
    assert result.support == (4, 2, 1)


def test_a_face_that_was_not_found_is_an_error_of_its_class() -> None:
    result = compute([0, 0, 1, 2], one_hot([0, None, 1, None]), NAMES)
    assert (result.n, result.n_missed, result.missed) == (4, 2, (1, 0, 1))
    assert result.confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 0))
    assert result.accuracy == 0.5
    assert result.per_class_recall == {"calm": 0.5, "glad": 1.0, "sad": 0.0}
    assert result.mean_class_accuracy == 0.5
    assert result.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert result.ece == 0


def test_no_face_found_at_all() -> None:
    result = compute([0, 1], one_hot([None, None]), NAMES)
    assert (result.accuracy, result.mean_class_accuracy, result.macro_f1, result.ece) == (0, 0, 0, None)
    assert result.n_missed == 2


def test_a_class_without_images_has_no_recall_and_stays_out_of_the_mean() -> None:
    result = compute([0, 0, 1], one_hot([0, 2, 1]), NAMES)
    assert result.per_class_recall == {"calm": 0.5, "glad": 1.0, "sad": None}
    assert result.mean_class_accuracy == 0.75
    assert result.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3), "a class that was predicted wrongly lowers macro F1"


def test_a_network_that_says_80_percent_and_is_always_right_is_20_percent_off() -> None:
    result = compute([0, 1, 2], one_hot([0, 1, 2], confidence=0.8), NAMES)
    assert result.ece == pytest.approx(0.2)


def test_reliability_bins_cover_the_confidences_up_to_certainty() -> None:
    result = compute([0, 1, 2], np.concatenate([one_hot([0, 0]), one_hot([2], confidence=0.5)]), NAMES)
    assert len(result.reliability) == NUM_BINS == 15
    assert [(b.low, b.high) for b in result.reliability] == pytest.approx(
        [(i / NUM_BINS, (i + 1) / NUM_BINS) for i in range(NUM_BINS)]
    )
    last, half = result.reliability[-1], result.reliability[NUM_BINS // 2]
    assert (last.count, last.confidence, last.accuracy) == (2, 1.0, 0.5)
    assert (half.count, half.confidence, half.accuracy) == (1, 0.5, 1.0)
    assert result.reliability[0].accuracy is None


def test_a_confidence_on_an_edge_belongs_to_the_bin_above() -> None:
    edge = np.linspace(0, 1, NUM_BINS + 1)[9]
    result = compute([0], one_hot([0], confidence=edge), NAMES)
    assert [b.count for b in result.reliability].index(1) == 9


@given(scored())
@settings(deadline=None)
def test_the_numbers_fit_each_other(data: tuple[np.ndarray, np.ndarray]) -> None:
    labels, rows = data
    result = compute(labels, rows, "abcd")
    assert result.support == tuple(np.bincount(labels, minlength=4))
    assert sum(result.support) == result.n == len(labels)
    weighted = sum(s * (r or 0) for s, r in zip(result.support, result.per_class_recall.values(), strict=True))
    assert result.accuracy == pytest.approx(weighted / result.n)
    assert sum(b.count for b in result.reliability) == result.n - result.n_missed
    for b in result.reliability:
        assert b.confidence is None or b.low - 1e-12 <= b.confidence <= b.high + 1e-12


@given(scored())
@settings(deadline=None)
def test_missing_a_face_costs_accuracy_and_recall_as_much_as_a_wrong_prediction(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, rows = data
    wrong = rows.copy()
    for i in np.flatnonzero(np.isnan(rows[:, 0])):
        wrong[i] = np.eye(4)[(labels[i] + 1) % 4]
    ours, theirs = compute(labels, rows, "abcd"), compute(labels, wrong, "abcd")
    assert ours.accuracy == theirs.accuracy
    assert ours.per_class_recall == theirs.per_class_recall
    assert ours.mean_class_accuracy == theirs.mean_class_accuracy


@pytest.mark.parametrize("classes", [7, 11])
def test_torchmetrics_agrees(classes: int) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    random = np.random.default_rng(classes)
    labels = random.choice(classes, 400, p=random.dirichlet(np.ones(classes)))
    labels[:classes] = np.arange(classes)
    logits = random.normal(size=(400, classes)) + 2 * np.eye(classes)[labels]
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ours = compute(labels, rows, [str(i) for i in range(classes)])

    target, given_rows = torch.from_numpy(labels), torch.from_numpy(rows)

    def theirs(name: str, **options: object) -> object:
        return getattr(functional, f"multiclass_{name}")(given_rows, target, num_classes=classes, **options).numpy()

    assert ours.accuracy == pytest.approx(float(theirs("accuracy", average="micro")), abs=1e-6)
    assert ours.mean_class_accuracy == pytest.approx(float(theirs("accuracy", average="macro")), abs=1e-6)
    assert list(ours.per_class_recall.values()) == pytest.approx(theirs("recall", average="none").tolist(), abs=1e-6)
    assert ours.macro_f1 == pytest.approx(float(theirs("f1_score", average="macro")), abs=1e-6)
    assert ours.ece == pytest.approx(float(theirs("calibration_error", n_bins=NUM_BINS, norm="l1")), abs=1e-6)
    assert np.array_equal(ours.confusion, theirs("confusion_matrix"))


def test_to_dict_is_json_with_the_contracts_keys() -> None:
    labels = np.arange(7)
    values = compute(labels, one_hot([0, 1, 2, None, 4, 5, 0], 7), facs.BASIC_EXPRESSIONS).to_dict()
    contract = {"n", "accuracy", "mean_class_accuracy", "per_class_recall", "confusion", "macro_f1", "ece", "classes"}
    assert contract <= set(values)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["classes"] == list(facs.BASIC_EXPRESSIONS)
    assert values["missed"] == [0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("labels", "rows", "message"),
    [
        ([], np.empty((0, 3)), "at least one labelled image, got 0"),
        (0, one_hot([0]), "labels must be N"),
        ([[0], [1]], one_hot([0, 1]), "labels must be N"),
        ([0, 1], one_hot([0]), "probabilities Nx3"),
        ([0], one_hot([0, 1]), "probabilities Nx3"),
        ([0], one_hot([0], classes=2), "share a vocabulary"),
        ([0], one_hot([0], classes=7), "share a vocabulary"),
        ([3], one_hot([0]), r"labels must be in \[0, 2\], got 3 to 3"),
        ([4], one_hot([0]), r"labels must be in \[0, 2\], got 4 to 4"),
        ([-1], one_hot([0]), "got -1"),
        ([0], np.array([[1.5, -0.5, 0.0]]), "must be at least 0 and sum to 1"),
        ([0], np.array([[0.9, 0.5, 0.2]]), "must be at least 0 and sum to 1"),
        ([0, 0, 0], np.array([[1, 0, 0], [1, 1, 0], [2, 0, 0]]), r"got \[1, 1, 0\] in row 1 \(2 such rows\)"),
        ([0.5], one_hot([0]), "labels must be integers"),
        ([0, 0], np.array([[1, 0, 0], [2.5, -1.0, 0.2]]), "in row 1 .*softmax output, not logits"),
        ([0], np.array([[np.nan, 1.0, 0.0]]), "all NaN where no face was found"),
        ([0], np.array([[np.inf, 0.0, 0.0]]), "sum to 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels: list[int], rows: np.ndarray, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        compute(labels, rows, NAMES)


def test_a_row_that_sums_to_nearly_1_is_scored() -> None:
    assert compute([0], np.array([[0.99, 0.0, 0.005]]), NAMES).accuracy == 1


def test_a_result_cannot_be_changed() -> None:
    result = compute([0], one_hot([0]), NAMES)
    for part in (result, result.reliability[0]):
        with pytest.raises(FrozenInstanceError):
            part.accuracy = 0.5


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (3, 0.9), (40, 0.75), (400, 0.97)])
def test_the_calibration_error_by_chance_is_that_of_answers_drawn_with_their_confidence(n, p) -> None:
    drawn = np.random.default_rng(0).random((20_000, n)) < p
    bins = (ReliabilityBin(0.0, 1.0, n, p, 1.0),)
    assert calibration_error_by_chance(bins) == pytest.approx(np.abs(drawn.mean(axis=1) - p).mean(), rel=0.02)


def test_certain_answers_are_off_by_no_chance_and_no_answers_by_none() -> None:
    assert compute([0, 1, 2], one_hot([0, 1, 1]), NAMES).ece_by_chance == 0
    assert compute([0, 1], one_hot([None, None]), NAMES).ece_by_chance is None
