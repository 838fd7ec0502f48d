"""The knowledge losses, against the formulas written out sample by sample and pair by pair."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from aue_crl_core import facs  # noqa: E402
from aue_crl_core.errors import ConfigError  # noqa: E402
from aue_crl_core.knowledge import LearnablePrior  # noqa: E402
from aue_crl_core.losses import (  # noqa: E402
    evidence_loss,
    pairwise_dependency_loss,
    posterior_loss,
    prior_regulariser,
    weighted_au_loss,
)


def _relu(value: float) -> float:
    return max(value, 0.0)


def _pairwise_by_hand(rows: list[list[float]], form: str) -> float:
    batch = len(rows)

    def h(i: int) -> float:
        return sum(p[i] for p in rows if p[i] >= 0.5) / batch

    def l(i: int) -> float:  # noqa: E743
        return sum(p[i] if form == "upstream" else 1 - p[i] for p in rows if p[i] < 0.5) / batch

    def hh(i: int, j: int) -> float:
        return sum(p[i] * p[j] for p in rows if p[i] >= 0.5 and p[j] >= 0.5) / batch

    total = 0.0
    for a, b in facs.CO_OCCURRING_PAIRS:
        i, j = facs.ACTION_UNITS.index(a), facs.ACTION_UNITS.index(b)
        total += _relu(h(i) * h(j) - hh(i, j)) + _relu(l(i) * h(j) - hh(i, j)) + _relu(h(i) * l(j) - hh(i, j))
    for a, b in facs.EXCLUSIVE_PAIRS:
        i, j = facs.ACTION_UNITS.index(a), facs.ACTION_UNITS.index(b)
        sign = 1 if form == "upstream" else -1
        total += _relu(sign * (h(i) * h(j) - hh(i, j)))
        total += _relu(hh(i, j) - l(i) * h(j)) + _relu(hh(i, j) - h(i) * l(j))
    return total


def _faces(*active: tuple[int, ...], high: float = 0.9, low: float = 0.0) -> torch.Tensor:
    return torch.tensor([[high if unit in units else low for unit in facs.ACTION_UNITS] for units in active])


probability_rows = st.lists(
    st.lists(st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.5, 1.0]), min_size=17, max_size=17),
    min_size=1,
    max_size=9,
)


@settings(max_examples=100, deadline=None)
@given(rows=probability_rows, form=st.sampled_from(["upstream", "corrected"]))
def test_the_pairwise_loss_is_its_formula(rows, form):
    loss = pairwise_dependency_loss(torch.tensor(rows), form)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(_pairwise_by_hand(rows, form), abs=1e-5)


def test_the_default_is_the_formula_of_the_reference():
    p = torch.rand(16, 17, generator=torch.Generator().manual_seed(0))
    assert pairwise_dependency_loss(p).item() == pytest.approx(_pairwise_by_hand(p.tolist(), "upstream"), abs=1e-6)


@pytest.mark.parametrize("form", ["upstream", "corrected"])
def test_partners_that_come_together_cost_nothing_and_partners_that_come_apart_do(form):
    together = _faces((6, 12), (), (6, 12), ())
    apart = _faces((6,), (12,), (6,), (12,))
    assert pairwise_dependency_loss(together, form) == pytest.approx(0, abs=1e-6)
    assert pairwise_dependency_loss(apart, form) > 0.1


def test_corrected_exclusive_units_cost_when_they_meet_and_nothing_when_they_avoid_each_other():
    meeting, avoiding = _faces((12, 15), ()), _faces((12,), (15,))
    assert pairwise_dependency_loss(meeting, "corrected") > pairwise_dependency_loss(avoiding, "corrected")
    exclusive_only = _faces((2,), (7,))
    met = _faces((2, 7), ())
    partners = pairwise_dependency_loss(_faces((2,), ()), "corrected") + pairwise_dependency_loss(
        _faces((7,), ()), "corrected"
    )
    assert pairwise_dependency_loss(exclusive_only, "corrected") == pytest.approx(partners.item(), abs=1e-6)
    assert pairwise_dependency_loss(met, "corrected") > partners


def test_the_upstream_form_punishes_exclusive_units_for_avoiding_each_other():
    """The slip of Q3, kept as the named form: meeting less often than by chance costs."""
    avoiding = _faces((12,), (15,))
    each_alone = sum(pairwise_dependency_loss(_faces((unit,), ())) for unit in (12, 15))
    assert pairwise_dependency_loss(avoiding) == pytest.approx(each_alone.item() + 0.45 * 0.45, abs=1e-6)


def test_the_order_of_the_batch_does_not_matter():
    p = torch.rand(8, 17, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(pairwise_dependency_loss(p), pairwise_dependency_loss(p.flip(0)))


def test_only_units_of_a_pair_get_a_pairwise_gradient():
    p = torch.rand(32, 17, generator=torch.Generator().manual_seed(3)).requires_grad_()
    (pairwise_dependency_loss(p) + pairwise_dependency_loss(p, "corrected")).backward()
    paired = {unit for pair in facs.CO_OCCURRING_PAIRS + facs.EXCLUSIVE_PAIRS for unit in pair}
    learning = {unit for unit, g in zip(facs.ACTION_UNITS, p.grad.abs().sum(dim=0), strict=True) if g > 0}
    assert learning <= paired
    assert {12, 15, 17} <= learning


def test_an_unknown_form_is_refused():
    with pytest.raises(ConfigError, match=r"form must be one of .*, got 'right'"):
        pairwise_dependency_loss(torch.rand(2, 17), "right")


def test_the_regulariser_is_the_mean_distance_to_the_centres():
    prior = LearnablePrior("basic")
    by_hand = [abs(level.start - level.centre) for row in facs.prior_levels("basic") for level in row]
    assert prior_regulariser(prior).item() == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-6)


def test_the_regulariser_pulls_towards_the_centres_and_rests_there():
    prior = LearnablePrior("basic")
    prior_regulariser(prior).backward()
    assert torch.equal(prior.table.grad.sign(), (prior.table - prior.centre).sign())
    with torch.no_grad():
        prior.table.copy_(prior.centre)
    prior.zero_grad()
    loss = prior_regulariser(prior)
    loss.backward()
    assert loss == 0
    assert torch.equal(prior.table.grad, torch.zeros(7, 17))


def test_the_unit_loss_weighs_expected_units_three_times():
    p, t = torch.zeros(1, 17), torch.zeros(1, 17)
    p[0, 0], t[0, 0] = 0.5, 1.0
    p[0, 1], t[0, 1] = 0.25, 0.5
    p[0, 2], t[0, 2] = 0.0, 0.49
    expected = (3 * 0.5**2 + 3 * 0.25**2 + 0.49**2) / 17
    assert weighted_au_loss(p, t).item() == pytest.approx(expected, abs=1e-7)


def test_the_unit_loss_teaches_the_network_and_the_prior():
    prior = LearnablePrior("basic")
    p = torch.full((2, 17), 0.4, requires_grad=True)
    weighted_au_loss(p, prior.targets(torch.tensor([3, 3]))).backward()
    assert (p.grad != 0).all()
    assert prior.table.grad[3].abs().min() > 0
    assert prior.table.grad[[0, 1, 2, 4, 5, 6]].abs().max() == 0
    torch.testing.assert_close(prior.table.grad[3], -p.grad.sum(dim=0))


def test_the_losses_of_evidence_are_means_over_what_is_known():
    unknown = float("nan")
    logits, evidence = torch.tensor([[0.5, 3.0, 9.0]]), torch.tensor([[0.0, 1.0, unknown]])
    assert evidence_loss(logits, evidence).item() == pytest.approx((0.5 * 0.5**2 + (2 - 0.5)) / 2)
    p, q = torch.tensor([[0.5, 0.25, 0.9]]), torch.tensor([[1.0, 0.0, unknown]])
    by_hand = -(math.log(0.5) + math.log(0.75)) / 2
    assert posterior_loss(p, q).item() == pytest.approx(by_hand)
    assert evidence_loss(logits[:, :1], evidence[:, :1]).item() == pytest.approx(0.5 * 0.5**2)  # of one entry
    nothing = torch.full((2, 17), unknown)
    assert evidence_loss(torch.ones(2, 17), nothing) == posterior_loss(torch.full((2, 17), 0.3), nothing) == 0


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_to_be_sure_and_wrong_costs_as_much_as_one_in_a_hundred_thousand(wrong):
    p = torch.full((1, 17), wrong)
    assert posterior_loss(p, 1 - p).item() == pytest.approx(-math.log(1e-5), rel=1e-3)
