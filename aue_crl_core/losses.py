"""The losses that carry the psychological knowledge (REFERENCE: stages AU and Fuse)."""

from __future__ import annotations

from typing import Final, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from aue_crl_core.config import require
from aue_crl_core.facs import CO_OCCURRING_PAIRS, EXCLUSIVE_PAIRS, pair_indices
from aue_crl_core.knowledge import LearnablePrior

PairwiseForm = Literal["upstream", "corrected"]

_SURE: Final = 1e-5
_TOGETHER: Final = tuple(map(list, zip(*pair_indices(CO_OCCURRING_PAIRS), strict=True)))
_EXCLUDE: Final = tuple(map(list, zip(*pair_indices(EXCLUSIVE_PAIRS), strict=True)))


def pairwise_dependency_loss(probabilities: Tensor, form: PairwiseForm = "upstream") -> Tensor:
    """How far a batch breaks the AU pairs that occur together or exclude each other, whatever the expression.

    `probabilities` float Bx17 in [0, 1], B >= 1, in the order of `facs.ACTION_UNITS`; the result is a scalar, at least
    0, summed over the pairs. With h(i) the batch mean of p(i) where p(i) >= 0.5 (and 0 elsewhere), l(i) that of p(i)
    where p(i) < 0.5, and hh(i, j) that of p(i)p(j) where both are at least 0.5, a pair costs

    - together: relu(h(i)h(j) - hh) + relu(l(i)h(j) - hh) + relu(h(i)l(j) - hh)
    - exclude: relu(h(i)h(j) - hh) + relu(hh - l(i)h(j)) + relu(hh - h(i)l(j))

    which is `form="upstream"`, the authors' code. It has two slips (REFERENCE, Q3), mended by `form="corrected"`:
    exclusive pairs begin with relu(hh - h(i)h(j)), because they must meet *less* often than by chance; and
    l(i) is the batch mean of the probability of absence, 1 - p(i) where p(i) < 0.5.

    Raises:
        ConfigError: another `form`.
    """
    require(form in get_args(PairwiseForm), "form", f"be one of {get_args(PairwiseForm)}", form)
    active = probabilities >= 0.5
    zero = probabilities.new_zeros(())
    present = torch.where(active, probabilities, zero)
    absent = torch.where(active, zero, probabilities if form == "upstream" else 1 - probabilities)
    h, l = present.mean(dim=0), absent.mean(dim=0)  # noqa: E741 (REFERENCE's letters)

    def joint(i: list[int], j: list[int]) -> Tensor:
        return (present[:, i] * present[:, j]).mean(dim=0)

    i, j = _TOGETHER
    hh = joint(i, j)
    together = F.relu(h[i] * h[j] - hh) + F.relu(l[i] * h[j] - hh) + F.relu(h[i] * l[j] - hh)

    i, j = _EXCLUDE
    hh = joint(i, j)
    chance = h[i] * h[j] - hh
    exclude = F.relu(chance if form == "upstream" else -chance)
    exclude = exclude + F.relu(hh - l[i] * h[j]) + F.relu(hh - h[i] * l[j])
    return together.sum() + exclude.sum()


def prior_regulariser(prior: LearnablePrior) -> Tensor:
    """Mean |P - c|: keeps the learnable table near the middle of its ranges; a scalar, at least 0."""
    return (prior.table - prior.centre).abs().mean()


def evidence_loss(logits: Tensor, evidence: Tensor) -> Tensor:
    """How far the network's log-odds are from the evidence's, both float Bx17; a scalar, at least 0.

    The mean Huber loss (quadratic up to 1) over the entries that are known: NaN stands for a face whose evidence is
    not, and costs nothing.
    """
    known = evidence.isfinite()
    return _mean_of(F.smooth_l1_loss(logits, torch.where(known, evidence, 0.0), reduction="none"), known)


def posterior_loss(probabilities: Tensor, posterior: Tensor) -> Tensor:
    """Mean cross entropy of AU probabilities with `posterior`, both float Bx17 in [0, 1]; a scalar, at least 0.

    NaN in `posterior` stands for a face of which it is not known, and costs nothing.
    """
    known = posterior.isfinite()
    said, wanted = probabilities.clamp(_SURE, 1 - _SURE), torch.where(known, posterior, 0.5)
    with torch.autocast(said.device.type, enabled=False):  # torch refuses this loss under autocast
        return _mean_of(F.binary_cross_entropy(said.float(), wanted.float(), reduction="none"), known)


def _mean_of(costs: Tensor, known: Tensor) -> Tensor:
    return (costs * known).sum() / known.sum().clamp(min=1)


def weighted_au_loss(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error, three times as heavy where the target is at least 0.5; a scalar, at least 0.

    `probabilities` and `targets` float Bx17 in [0, 1]; the gradient reaches both, so that the prior learns too.
    """
    weights = torch.where(targets.detach() >= 0.5, 3.0, 1.0)
    return (weights * (probabilities - targets).square()).mean()
