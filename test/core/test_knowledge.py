"""The learnable prior: where it starts, where it may go, what it teaches."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core import facs  # noqa: E402
from aue_crl_core.knowledge import LearnablePrior  # noqa: E402


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
