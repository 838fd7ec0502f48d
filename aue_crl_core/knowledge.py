"""The psychological knowledge: how likely each action unit is in each expression, and how pictures add to it.

Two forms. The paper's: a learnable table (`LearnablePrior`) whose rows are the targets of the action unit branch, the
same for all faces of an expression. And one model of prior and evidence: logit P(AU | face) = evidence of the picture +
logit of the prior that the expression gives (`PriorOdds`), where the evidence is learned from what a face mesh shows of
each face (`fit_evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aue_crl_core.facs import OTHER, VocabularyName, prior_levels

MOST_EVIDENCE: Final = 4.0
"""Log-odds: no measurement is surer than 55 to 1."""

_LEAST: Final = 1e-4
_COMMON: Final = (0.02, 0.98)
"""An AU that is certain is never taken to be rarer or more common in an expression, however few faces show it."""
_LEAST_SEPARATION: Final = 1.0
_ROUNDS: Final = 100


class LearnablePrior(nn.Module):
    """P[expression, AU], trained together with the action unit branch (paper, section III-C).

    `table` float32 Cx17, rows in label order, columns in the order of `facs.ACTION_UNITS`; it begins at 1.0 for primary
    AUs, 0.5 for secondary ones and 0.1 for the others, and lives in [`low`, `high`] (Cx17 buffers); `centre` (Cx17) is
    the middle of that range.
    """

    def __init__(self, vocabulary: VocabularyName) -> None:
        super().__init__()
        levels = prior_levels(vocabulary)
        self.table = nn.Parameter(torch.tensor([[level.start for level in row] for row in levels]))
        self.register_buffer("low", torch.tensor([[level.low for level in row] for row in levels]))
        self.register_buffer("high", torch.tensor([[level.high for level in row] for row in levels]))
        self.register_buffer("centre", torch.tensor([[level.centre for level in row] for row in levels]))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Move every entry back into its range, in place; call it after each optimiser step."""
        self.table.copy_(self.table.clamp(self.low, self.high))

    def targets(self, labels: Tensor) -> Tensor:
        """AU targets float32 Bx17 in [0, 1], with gradient to `table`.

        `labels` int64 B of class indices: each one's row; or float BxC distributions: the expected row.
        """
        return labels @ self.table if labels.is_floating_point() else self.table[labels]


def prior_log_odds(expressions: Tensor, table: Tensor) -> Tensor:
    """logit(expressions @ table): probabilities or distributions BxC and the prior CxU (or C) -> BxU (or B)."""
    return log_odds(expressions @ table)


def log_odds(shares: Tensor) -> Tensor:
    """logit of shares in [0, 1], of the ends as of 1e-4 and 1 - 1e-4."""
    return torch.logit(shares.clamp(_LEAST, 1 - _LEAST))


class PriorOdds(nn.Module):
    """What the expression alone says of the action units, as log-odds, to be added to what the face's picture says.

    `table` float32 Cx17 (a buffer: learned by `fit_evidence`, not by gradient) begins at the middle of each range of
    the knowledge. forward: expression probabilities float32 BxC -> logit(probabilities @ table), float32 Bx17.
    By Bayes' rule this is the prior's part of logit P(AU | picture), where the evidence does not depend on the
    expression once the AU is known.
    """

    def __init__(self, vocabulary: VocabularyName) -> None:
        super().__init__()
        levels = prior_levels(vocabulary)
        self.register_buffer("table", torch.tensor([[level.centre for level in row] for row in levels]))

    def forward(self, expressions: Tensor) -> Tensor:
        """See the class."""
        return prior_log_odds(expressions.float(), self.table)


class MeasuredFaces(NamedTuple):
    """N faces of one dataset: `scores` float Nx17 (see `raw_scores`); `expressions` float NxC, distributions; `shown`
    float Nx17, 1 and 0 where it is certain whether the AU is there, NaN elsewhere; None: nowhere."""

    scores: NDArray[np.floating]
    expressions: NDArray[np.floating]
    shown: NDArray[np.floating] | None = None

    def present(self, likely: NDArray[np.float64]) -> NDArray[np.float64]:
        """How likely each AU is on each face, Nx17: `likely`, where it is not certain."""
        return likely if self.shown is None else np.where(np.isnan(self.shown), likely, self.shown)

    def probabilities(self, log_odds: NDArray[np.floating], prior: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(AU | face), Nx17, of the evidence's `log_odds` Nx17 and `prior` Cx17."""
        return _sigmoid(log_odds + _logit(self.expressions @ prior))

    @property
    def certain(self) -> NDArray[np.bool_]:
        """The AUs of which it is certain on every face, bool 17."""
        nowhere = np.zeros(self.scores.shape[1], dtype=bool)
        return nowhere if self.shown is None else np.isfinite(self.shown).all(axis=0)


@dataclass(frozen=True)
class FittedEvidence:
    """`log_odds` for each dataset: float32 Nx17, log P(score | AU) / P(score | no AU), in [-4, 4]; `prior` float64
    Cx17: how often each AU is there in each expression."""

    log_odds: tuple[NDArray[np.float32], ...]
    prior: NDArray[np.float64]


def fit_evidence(datasets: Sequence[MeasuredFaces], vocabulary: VocabularyName) -> FittedEvidence:
    """Read AU scores as evidence, by the knowledge of which AUs go with which expression; no AU label is needed.

    The model: within a dataset the
    scores of an AU are a mixture of two normal distributions of one width, of faces with the AU and faces without; the
    share of the former is the prior's row of the face's expression. Means, width and prior are fitted by expectation
    and maximisation. Learned: the means and the width of each AU in each dataset, and the prior, halfway between what
    the faces show and the middle of the knowledge's range, which it never leaves. Fixed: the ranges (`prior_levels`;
    those of AUs that the knowledge does not name end where they start, at 0.1, because measurements with a long tail
    look like more faces with the AU than there are), and that the two means lie at least one width apart (an AU that
    the scores can't tell still moves with them). Of an AU that is certain on every face (`MeasuredFaces.shown`) nothing
    is left to guess: its prior is how often the faces show it.
    """
    levels = prior_levels(vocabulary)
    low, high, centre, start = (
        np.array([[getattr(level, name) for level in row] for row in levels])
        for name in ("low", "high", "centre", "start")
    )
    high = np.where(high == OTHER.high, start, high)
    certain = np.all([faces.certain for faces in datasets], axis=0)
    prior = centre.copy()
    fits = [_Mixture.of(faces.scores, faces.present(faces.expressions @ prior)) for faces in datasets]
    for _ in range(_ROUNDS):
        seen, count = np.zeros_like(prior), np.zeros((len(prior), 1))
        for i, faces in enumerate(datasets):
            present = faces.present(faces.probabilities(fits[i].log_odds(faces.scores), prior))
            fits[i] = _Mixture.of(faces.scores, present)
            seen += faces.expressions.T @ present
            count += faces.expressions.sum(axis=0)[:, None]
        shown = np.where(count > 0, seen / np.maximum(count, 1e-9), centre)
        prior = np.where(certain, np.clip(shown, *_COMMON), np.clip((shown + centre) / 2, low, high))
    odds = tuple(fit.log_odds(faces.scores).astype(np.float32) for fit, faces in zip(fits, datasets, strict=True))
    return FittedEvidence(odds, prior)


@dataclass(frozen=True)
class _Mixture:
    """Per AU: the mean score without it and with it, and the variance around both."""

    absent: NDArray[np.float64]
    present: NDArray[np.float64]
    variance: NDArray[np.float64]

    @classmethod
    def of(cls, scores: NDArray[np.floating], present: NDArray[np.float64]) -> _Mixture:
        """The most likely mixture, where `present` Nx17 is each face's share in the first part."""
        with_it = (present * scores).sum(axis=0) / np.maximum(present.sum(axis=0), 1e-9)
        without = ((1 - present) * scores).sum(axis=0) / np.maximum((1 - present).sum(axis=0), 1e-9)
        spread = present * (scores - with_it) ** 2 + (1 - present) * (scores - without) ** 2
        variance = np.maximum(spread.mean(axis=0), 1e-4)
        return cls(without, np.maximum(with_it, without + _LEAST_SEPARATION * np.sqrt(variance)), variance)

    def log_odds(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """log P(score | AU) / P(score | no AU), in [-4, 4]."""
        slope = (self.present - self.absent) / self.variance
        return np.clip(slope * (scores - (self.present + self.absent) / 2), -MOST_EVIDENCE, MOST_EVIDENCE)


def _logit(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.clip(shares, _LEAST, 1 - _LEAST)
    return np.log(shares / (1 - shares))


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-odds))
