"""The paired bootstrap: a case worked out by hand, a slow version, and what holds for any scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core.errors import DatasetError
from aue_crl_core.evaluation.bootstrap import paired_bootstrap

shares = st.sampled_from([0, 1 / 3, 2 / 3, 1])
pairs = st.lists(st.tuples(shares, shares), min_size=1, max_size=60)


def test_two_images_by_hand():
    """Right and wrong against wrong and wrong: differences 1 and 0, so a draw of two has mean 0, 1/2 or 1 with
    probability 1/4, 1/2, 1/4; in a quarter of the draws nothing is left of the difference: p is twice that."""
    found = paired_bootstrap([1, 0], [0, 0])
    assert (found.mean, found.low, found.high) == (0.5, 0, 1)
    assert found.p == pytest.approx(0.5, abs=0.02)


def test_three_right_of_three_by_hand():
    """Every draw says the same: only the data itself, counted as a draw, keeps p from 0."""
    assert paired_bootstrap([1, 1, 1], [0, 0, 0]) == (1, 1, 1, pytest.approx(2 / 10_001))


def test_it_is_what_drawing_images_one_by_one_gives():
    rng = np.random.default_rng(1)
    ours, theirs = rng.random(300) < 0.62, rng.random(300) < 0.55
    found = paired_bootstrap(ours, theirs)
    difference = ours.astype(float) - theirs
    means = difference[rng.integers(0, 300, (10_000, 300))].mean(axis=1)
    assert found.mean == pytest.approx(difference.mean())
    np.testing.assert_allclose(found[1:3], np.quantile(means, [0.025, 0.975]), atol=0.004)
    assert found.p == pytest.approx(2 * min((means <= 0).mean(), (means >= 0).mean()), abs=0.02)


@given(pairs)
@settings(max_examples=50)
def test_bounds_hold_for_any_scores(rows):
    ours, theirs = np.array(rows).T
    found = paired_bootstrap(ours, theirs)
    assert found.mean == pytest.approx((ours - theirs).mean())
    assert min(ours - theirs) - 1e-9 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= max(ours - theirs) + 1e-9
    assert 0 < found.p <= 1


@given(pairs, st.randoms())
@settings(max_examples=30)
def test_the_order_of_images_is_nothing_and_that_of_methods_a_sign(rows, random):
    ours, theirs = np.array(rows).T
    found = paired_bootstrap(ours, theirs)
    random.shuffle(rows)
    assert paired_bootstrap(*np.array(rows).T) == found
    other = paired_bootstrap(theirs, ours)
    assert other.mean == pytest.approx(-found.mean)
    np.testing.assert_allclose((other.low, other.high), (-found.high, -found.low), atol=0.02 + 2 / len(rows))
    assert other.p == found.p


@given(st.lists(shares, min_size=1, max_size=30))
@settings(max_examples=20)
def test_a_method_does_not_differ_from_itself(scores):
    assert paired_bootstrap(scores, scores) == (0, 0, 0, 1)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1], [1, 0]), ([[1]], [[0]])])
def test_scores_of_other_images_are_refused(ours, theirs):
    with pytest.raises(DatasetError, match="two scores of the same N images are compared"):
        paired_bootstrap(ours, theirs)
