"""AU metrics: worked examples, and the same figures by brute force."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.errors import DatasetError
from aue_crl_core.evaluation.au_metrics import compute_action_units, concordance
from aue_crl_core.facs import ACTION_UNITS

COUNT = len(ACTION_UNITS)


def only(unit: int, values, rest: float) -> np.ndarray:
    """Nx17 of `rest` with `values` for one unit."""
    table = np.full((len(values), COUNT), rest)
    table[:, ACTION_UNITS.index(unit)] = values
    return table


def test_a_worked_example():
    labels = only(12, [1, 1, 1, 0, 0, -1, 9], -1).astype(int)
    said = only(12, [0.9, 0.5, 0.2, 0.6, 0.1, 1.0, 1.0], 0.0)
    metrics = compute_action_units(labels, said)
    (unit,) = metrics.units
    assert (unit.unit, unit.n, metrics.n) == (12, 5, 5)
    assert unit.base_rate == pytest.approx(3 / 5)
    assert (unit.precision, unit.recall, unit.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert unit.auc == pytest.approx(4 / 6)  # of 3x2 pairs, 0.5 and 0.2 lose to 0.6
    assert (metrics.mean_f1, metrics.mean_auc) == pytest.approx((2 / 3, 4 / 6))


def test_a_missed_face_shows_no_unit_and_takes_no_part_in_the_auc():
    labels = only(4, [1, 1, 0, 0], -1).astype(int)
    said = only(4, [0.9, np.nan, 0.1, np.nan], 0.0)
    said[[1, 3]] = np.nan
    metrics = compute_action_units(labels, said)
    (unit,) = metrics.units
    assert (metrics.n, metrics.n_missed) == (4, 2)
    assert (unit.recall, unit.precision, unit.auc) == (0.5, 1.0, 1.0)


def test_of_the_missed_faces_those_without_a_label_are_not_counted():
    labels = only(4, [1, 0, 1, 0, -1, 9], -1).astype(int)
    said = np.zeros((6, COUNT))
    said[[0, 4, 5]] = np.nan
    metrics = compute_action_units(labels, said)
    assert (metrics.n, metrics.n_missed) == (4, 1)


def test_what_is_not_defined_is_none_and_left_out_of_the_mean():
    labels = np.full((3, COUNT), -1)
    said = np.zeros((3, COUNT))
    labels[:, 0] = 0  # AU 1: never seen, never said
    labels[:, 1] = 0  # AU 2: never seen, said once
    said[0, 1] = 0.9
    labels[:, 2] = [1, 0, 0]
    said[0, 2] = 0.9
    first, second, third = compute_action_units(labels, said).units
    assert (first.f1, first.precision, first.recall, first.auc) == (None,) * 4
    assert (second.f1, second.precision, second.recall) == (0.0, 0.0, None)
    assert third.f1 == 1.0
    metrics = compute_action_units(labels, said)
    assert (metrics.mean_f1, metrics.mean_auc) == (1.0, 1.0)
    assert metrics.mean_base_rate == pytest.approx(1 / 9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_f1_and_auc_agree_with_brute_force(seed, count):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 9], size=(count, COUNT), p=[0.5, 0.4, 0.1])
    said = rng.integers(0, 9, size=(count, COUNT)) / 8  # ties
    labels[0, 0] = 1
    for unit in compute_action_units(labels, said).units:
        column = ACTION_UNITS.index(unit.unit)
        pairs = [(bool(t), s) for t, s in zip(labels[:, column], said[:, column], strict=True) if t != 9]
        right = sum(t and s >= 0.5 for t, s in pairs)
        wrong = sum(t != (s >= 0.5) for t, s in pairs)
        assert unit.f1 == (pytest.approx(2 * right / (2 * right + wrong)) if right + wrong else None)
        high, low = [s for t, s in pairs if t], [s for t, s in pairs if not t]
        wins = sum((a > b) + (a == b) / 2 for a in high for b in low)
        assert unit.auc == (pytest.approx(wins / (len(high) * len(low))) if high and low else None)


def test_a_result_cannot_be_changed():
    metrics = compute_action_units(only(1, [1, 0], -1).astype(int), only(1, [0.7, 0.2], 0.0))
    for part in (metrics, metrics.units[0]):
        with pytest.raises(FrozenInstanceError):
            part.n = 0


def test_the_result_is_json():
    metrics = compute_action_units(only(1, [1, 0], -1).astype(int), only(1, [0.7, 0.2], 0.0))
    read = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert read["units"] == [
        {"unit": 1, "n": 2, "base_rate": 0.5, "precision": 1.0, "recall": 1.0, "f1": 1.0, "auc": 1.0}
    ]
    assert (read["mean_f1"], read["n"]) == (1.0, 2)


@pytest.mark.parametrize(
    ("labels", "said", "message"),
    [
        (np.zeros((2, 12), int), np.zeros((2, 12)), r"must be Nx17, got \(2, 12\)"),
        (np.zeros((2, 18), int), np.zeros((2, 18)), r"must be Nx17, got \(2, 18\)"),
        (np.zeros(COUNT, int), np.zeros(COUNT), r"must be Nx17, got \(17,\)"),
        (np.zeros((2, COUNT, 1), int), np.zeros((2, COUNT, 1)), r"must be Nx17, got \(2, 17, 1\)"),
        (np.zeros((2, COUNT), int), np.zeros((1, COUNT)), r"must be Nx17, got \(2, 17\) and \(1, 17\)"),
        (np.zeros((2, COUNT), int), np.zeros((3, COUNT)), r"must be Nx17, got \(2, 17\) and \(3, 17\)"),
        (np.full((2, COUNT), 3), np.zeros((2, COUNT)), r"must be 0 or 1 .* got \[.*3.*\]"),
        (np.full((2, COUNT), 9), np.zeros((2, COUNT)), "at least one labelled unit"),
        (np.zeros((2, COUNT), int), np.full((2, COUNT), 1.5), r"must be in \[0, 1\]"),
        (np.zeros((2, COUNT), int), np.full((2, COUNT), -0.5), r"must be in \[0, 1\]"),
        (np.zeros((2, COUNT), int), only(1, [np.nan, 0], 0.5), r"must be in \[0, 1\], or a row all NaN"),
    ],
)
def test_what_does_not_fit_is_refused(labels, said, message):
    with pytest.raises(DatasetError, match=message):
        compute_action_units(labels, said)


@pytest.mark.parametrize(("scale", "shift", "expected"), [(1, 0, 1), (-1, 0, -1), (1, 2, 2 / 6), (0, 0, 0)])
def test_concordance_is_one_only_where_both_are_equal(scale, shift, expected):
    """Two arrays of variance 1: moved by 2, 2 * 1 / (1 + 1 + 4)."""
    values = np.array([-1.0, 1.0, -1.0, 1.0])
    assert concordance(scale * values + shift, values) == pytest.approx(expected)
