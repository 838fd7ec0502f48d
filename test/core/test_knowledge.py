"""The prior: where it starts, where it may go, what it teaches; and the evidence that stands beside it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aue_crl_core import facs  # noqa: E402
from aue_crl_core.knowledge import MOST_EVIDENCE, LearnablePrior, MeasuredFaces, PriorOdds, fit_evidence  # noqa: E402


def _column(unit: int) -> int:
    return facs.ACTION_UNITS.index(unit)


def _row(name: str) -> int:
    return facs.BASIC_EXPRESSIONS.index(name)


@pytest.mark.parametrize("vocabulary", ["basic", "compound"])
def test_it_starts_at_the_knowledge(vocabulary):
    prior = LearnablePrior(vocabulary)
    assert prior.table.shape == (len(facs.expressions(vocabulary)), 17)
    for row, levels in enumerate(facs.prior_levels(vocabulary)):
        for column, level in enumerate(levels):
            assert prior.table[row, column].item() == pytest.approx(level.start)
            assert prior.centre[row, column].item() == level.centre


def test_known_entries_of_the_basic_table():
    table = LearnablePrior("basic").table.detach()
    assert table[_row("happiness"), _column(12)] == 1.0
    assert table[_row("happiness"), _column(25)] == 0.5
    assert table[_row("happiness"), _column(4)].item() == pytest.approx(0.1)
    assert table[_row("neutral")].tolist() == pytest.approx([0.1] * 17)


def test_clamping_moves_each_entry_to_the_nearest_end_of_its_own_range():
    prior = LearnablePrior("basic")
    with torch.no_grad():
        prior.table.fill_(2.0)
    prior.clamp_()
    assert prior.table[_row("anger"), _column(4)] == 1.0
    assert prior.table[_row("anger"), _column(17)] == 0.75
    assert prior.table[_row("anger"), _column(12)] == 0.25
    with torch.no_grad():
        prior.table.fill_(-2.0)
    prior.clamp_()
    assert prior.table[_row("anger"), _column(4)] == 0.75
    assert prior.table[_row("anger"), _column(17)] == 0.5
    assert prior.table[_row("anger"), _column(12)] == 0.0


def test_clamping_keeps_the_parameter_that_the_optimiser_knows():
    prior = LearnablePrior("basic")
    optimiser = torch.optim.SGD(prior.parameters(), lr=10.0)
    parameter = prior.table
    prior.targets(torch.tensor([0, 1])).sum().backward()
    optimiser.step()
    prior.clamp_()
    assert prior.table is parameter
    assert parameter.requires_grad
    assert ((parameter >= prior.low) & (parameter <= prior.high)).all()


def test_a_label_teaches_its_expressions_row_and_only_that_row_learns():
    prior = LearnablePrior("basic")
    targets = prior.targets(torch.tensor([_row("anger"), _row("fear"), _row("anger")]))
    assert torch.equal(targets, prior.table[[5, 1, 5]])
    targets.sum().backward()
    assert prior.table.grad[:, 0].tolist() == [0, 1, 0, 0, 0, 2, 0]


def test_a_distribution_teaches_the_expected_row():
    prior = LearnablePrior("basic")
    shares = torch.tensor([[0.25, 0.75, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1.0]])
    targets = prior.targets(shares)
    torch.testing.assert_close(targets[0], 0.25 * prior.table[0] + 0.75 * prior.table[1])
    torch.testing.assert_close(targets[1], prior.table[6])
    targets.sum().backward()
    torch.testing.assert_close(prior.table.grad[:, 0], shares.sum(dim=0))


def test_one_hot_distributions_and_labels_agree():
    prior, labels = LearnablePrior("compound"), torch.arange(11)
    torch.testing.assert_close(prior.targets(torch.eye(11)), prior.targets(labels))


def test_bounds_travel_with_the_module():
    assert set(LearnablePrior("basic").state_dict()) == {"table", "low", "high", "centre"}


def test_prior_odds_are_those_of_the_expected_row():
    odds = PriorOdds("basic")
    belief = torch.zeros(2, 7)
    belief[0, _row("happiness")] = 1
    belief[1, [_row("happiness"), _row("surprise")]] = 0.5
    shares = odds(belief).sigmoid()
    torch.testing.assert_close(shares[0], odds.table[_row("happiness")])
    torch.testing.assert_close(shares[1], (odds.table[_row("happiness")] + odds.table[_row("surprise")]) / 2)


def _known_shares(vocabulary: facs.VocabularyName) -> np.ndarray:
    """The middle of the range of AUs that the knowledge names, and where the others start."""
    rows = facs.prior_levels(vocabulary)
    return np.array([[level.centre if level.high >= 0.5 else level.start for level in row] for row in rows])


def _named(vocabulary: facs.VocabularyName) -> np.ndarray:
    """1 where the knowledge names the AU for the expression."""
    return np.array([[int(level.high >= 0.5) for level in row] for row in facs.prior_levels(vocabulary)])


def _made_faces(seed: int, apart: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of 4000 faces with known AUs, each there as often as the knowledge says."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, 4000)
    shares = _known_shares("basic")[labels]
    units = rng.random(shares.shape) < shares
    return rng.normal(0, 1, shares.shape) + apart * units, np.eye(7)[labels], units


def test_evidence_finds_the_faces_that_show_an_au_without_a_label_of_one():
    scores, expressions, units = _made_faces(0)
    fitted = fit_evidence([MeasuredFaces(scores, expressions)], "basic")
    (odds,) = fitted.log_odds
    assert odds.dtype == np.float32
    assert np.abs(odds).max() <= MOST_EVIDENCE
    right = [((odds[:, i] > 0) == units[:, i]).mean() for i in range(17)]
    assert min(right) > 0.88
    np.testing.assert_allclose(fitted.prior, _known_shares("basic"), atol=0.06)


def test_evidence_and_prior_together_are_calibrated():
    scores, expressions, units = _made_faces(1, apart=2.0)
    fitted = fit_evidence([MeasuredFaces(scores, expressions)], "basic")
    prior = expressions @ fitted.prior
    said = 1 / (1 + np.exp(-(fitted.log_odds[0] + np.log(prior / (1 - prior)))))
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (said > low) & (said < low + 0.2)
        assert units[inside].mean() == pytest.approx(said[inside].mean(), abs=0.07)


def test_each_data_set_is_read_by_its_own_spread():
    """The same faces measured with twice the noise say less."""
    scores, expressions, _ = _made_faces(2)
    noisy = scores + np.random.default_rng(3).normal(0, 2, scores.shape)
    fitted = fit_evidence([MeasuredFaces(scores, expressions), MeasuredFaces(noisy, expressions)], "basic")
    assert fitted.log_odds[1].std() < 0.8 * fitted.log_odds[0].std()


@pytest.mark.parametrize("vocabulary", ["basic", "compound"])
def test_the_fitted_prior_stays_in_the_ranges_of_the_knowledge(vocabulary):
    """And an AU that the knowledge does not name for an expression is never said to be there more often than 0.1."""
    levels = facs.prior_levels(vocabulary)
    rng = np.random.default_rng(4)
    expressions = np.eye(len(levels))[rng.integers(0, len(levels) - 1, 300)]  # the last class has no face
    prior = fit_evidence([MeasuredFaces(rng.normal(size=(300, 17)), expressions)], vocabulary).prior
    for row, wanted in zip(prior, levels, strict=True):
        assert all(level.low <= value <= level.high for value, level in zip(row, wanted, strict=True))
    np.testing.assert_allclose(prior[-1], _known_shares(vocabulary)[-1])
    assert prior[_named(vocabulary) == 0].max() <= 0.1


def test_an_au_that_is_certain_has_the_prior_that_the_faces_show_however_rare_the_knowledge_calls_it():
    """Lips are parted on half of the neutral faces; the knowledge names AU 25 for none of them."""
    scores, expressions, units = _made_faces(6)
    column, neutral = _column(25), expressions[:, _row("neutral")] == 1
    parted = units.copy()
    parted[neutral, column] = np.arange(neutral.sum()) % 2
    scores[:, column] += 3.0 * (parted[:, column] - units[:, column].astype(float))
    shown = np.full(scores.shape, np.nan)
    shown[:, column] = parted[:, column]
    guessed, told = (fit_evidence([MeasuredFaces(scores, expressions, known)], "basic") for known in (None, shown))
    assert guessed.prior[_row("neutral"), column] <= 0.1
    assert told.prior[_row("neutral"), column] == pytest.approx(0.5, abs=0.01)
    others = [i for i in range(17) if i != column]
    np.testing.assert_allclose(told.prior[:, others], guessed.prior[:, others], atol=0.02)
    prior = expressions @ told.prior
    said = told.log_odds[0][:, column] + np.log(prior / (1 - prior))[:, column]
    assert ((said > 0) == parted[:, column])[neutral].mean() > 0.9


def test_more_score_is_never_less_evidence_even_of_an_au_that_scores_do_not_tell():
    rng = np.random.default_rng(5)
    scores, expressions = rng.normal(size=(500, 17)), np.eye(7)[rng.integers(0, 7, 500)]
    (odds,) = fit_evidence([MeasuredFaces(scores, expressions)], "basic").log_odds
    for i in range(17):
        order = np.argsort(scores[:, i])
        assert (np.diff(odds[order, i]) >= 0).all()
        assert odds[:, i].std() > 0.3
