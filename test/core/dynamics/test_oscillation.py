"""What counts as going back and forth, and how it fades."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.dynamics.oscillation import FREE, MEMORY_S, MOST, SWING, Oscillation


def _after(values: list[float], step_s: float = 0.1) -> float:
    """Oscillation after one probability went through these values, the rest of 1 being another's."""
    rows = [np.array([value, 1 - value]) for value in values]
    oscillation, told = Oscillation.beginning(rows[0]), 0.0
    for row in rows[1:]:
        told = oscillation.update(row, step_s)
    return told


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30).map(sorted), st.booleans())
def test_what_only_comes_or_only_goes_is_none(values, goes):
    assert _after(values[::-1] if goes else values, 0.001) == 0


@given(st.floats(0, 1 - SWING), st.lists(st.floats(0, 0.999 * SWING), min_size=2, max_size=60))
def test_noise_is_none_however_long_it_lasts(least, values):
    assert _after([least + value for value in values], 0.001) == 0


def test_there_and_back_and_there_again_is_some():
    swings = [0.9 * math.exp(-age_s / MEMORY_S) for age_s in (0.2, 0.1, 0.0)]
    assert _after([0.05, 0.95, 0.05]) == pytest.approx(sum(swings[1:]) - FREE)
    assert _after([0.05, 0.95, 0.05, 0.95]) == pytest.approx(sum(swings) - FREE)


def test_noise_beyond_which_an_expression_came_is_none_either():
    assert _after([0.05, 0.95] + [0.9, 0.95] * 30, 0.001) == 0


def test_after_two_seconds_a_swing_counts_for_a_third_of_itself():
    oscillation = Oscillation.beginning(np.array([0.0]))
    for value in (1.0, 0.0, 1.0, 0.0, 1.0):
        oscillation.update(np.array([value]), 1e-9)
    assert oscillation.update(np.array([1.0]), 2.0) == pytest.approx(5 / math.e - 1.5)


def test_it_is_over_after_a_while():
    rows = [np.array([value]) for value in (0.0, 1.0, 0.0, 1.0, 0.0)]
    oscillation = Oscillation.beginning(rows[0])
    told = [oscillation.update(row, 0.1) for row in rows[1:]]
    calm = [oscillation.update(rows[-1], 0.5) for _ in range(8)]
    assert told[-1] > 1
    assert all(later < earlier or later == 0 for earlier, later in pairwise([told[-1], *calm]))
    assert calm[-1] == 0


def test_it_is_never_more_than_so_much():
    assert _after([0.0, 1.0] * 20) == MOST


@given(st.floats(1, 2.5), st.floats(0.5, 1), st.sampled_from([20, 30, 60]))
def test_the_frame_rate_hardly_matters(swings_hz, height, rate_hz):
    """A mouth that opens and closes, seen at that rate and at 240 Hz, on average over its third and fourth second."""

    def seen(rate: float) -> float:
        times = np.arange(0, 4, 1 / rate)
        open_ = height * (0.5 - 0.5 * np.cos(2 * np.pi * swings_hz * times))
        oscillation = Oscillation.beginning(open_[:1])
        told = [oscillation.update(open_[i : i + 1], 1 / rate) for i in range(1, len(times))]
        return float(np.mean(told[len(told) // 2 :]))

    assert seen(rate_hz) == pytest.approx(seen(240), abs=0.2)
