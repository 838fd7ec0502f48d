"""Action units as people see them: after training, what they coded sets how much the evidence and the prior weigh.

Evidence is learned from a face mesh, which takes a face's shape for its movement, and the prior from a table. Neither
knows how often people say that an AU is there. Where faces were coded by people, three numbers for each AU mend that:
logit P(AU | face) = a * evidence + logit of the prior's row with its log-odds times c + b. They go into the weights
that the network has, so that its form stays; the order of the faces of one expression hardly changes. AUs that a
distance tells for certain (`Evidence.present_from`) are left to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aue_crl_core.checkpoint import load_network, save_network
from aue_crl_core.data.au_evidence import EVIDENCE
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import ConfigError, DatasetError
from aue_crl_core.facs import ACTION_UNITS
from aue_crl_core.knowledge import log_odds, prior_log_odds
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training.batches.loading import make_loader
from aue_crl_core.training.config import TrainConfig
from aue_crl_core.training.weights.intensity import read_evidence_layer

LEAST_CODED: Final = 30
"""So many faces with the AU, and so many without it; an AU with fewer keeps what it has."""

_WIDTHS: Final = (0.3, 0.3, 2.0)
"""Of the Gaussian priors around a = 1, c = 1 and b = 0."""
_ITERATIONS: Final = 300


class UnitCorrection(NamedTuple):
    """a, c and b of an AU (see the module), the number of coded faces, and how many of them show it."""

    evidence: float
    prior: float
    offset: float
    faces: int
    seen: float


def fit_unit(evidence: Tensor, expressions: Tensor, row: Tensor, codes: Tensor) -> UnitCorrection:
    """The likeliest correction of an AU: `evidence` float N (log-odds), `expressions` float NxC (probabilities), `row`
    float C (the AU's prior in each expression) and `codes` float N in [0, 1]."""
    evidence, expressions, codes = evidence.double(), expressions.double(), codes.double()
    odds = log_odds(row.double())
    start = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    free = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([free], max_iter=_ITERATIONS, tolerance_grad=1e-9, line_search_fn="strong_wolfe")
    widths = torch.tensor(_WIDTHS, dtype=torch.float64)

    def loss() -> Tensor:
        optimiser.zero_grad()
        said = free[0] * evidence + prior_log_odds(expressions, torch.sigmoid(free[1] * odds)) + free[2]
        value = F.binary_cross_entropy_with_logits(said, codes, reduction="sum")
        value = value + ((free - start) / widths).square().sum() / 2
        value.backward()
        return value

    optimiser.step(loss)
    return UnitCorrection(*free.detach().tolist(), len(codes), float(codes.sum()))


@torch.no_grad()
def correct_units(network: AueCrl, corrections: Mapping[int, UnitCorrection]) -> None:
    """Put corrections (by FACS code) into the head that reads the evidence and into the prior's table."""
    head, table = network.action_unit_branch.evidence.classifier, network.prior_odds.table
    for unit, correction in corrections.items():
        i = ACTION_UNITS.index(unit)
        head.weight[i] *= correction.evidence
        head.bias[i] = head.bias[i] * correction.evidence + correction.offset
        table[:, i] = torch.sigmoid(correction.prior * log_odds(table[:, i]))


def calibrate_units(
    checkpoint: Path,
    indices: Sequence[DatasetIndex],
    codes: Mapping[str, Mapping[int, float]],
    config: TrainConfig,
    device: str,
) -> dict[int, UnitCorrection]:
    """Correct the AUs of a checkpoint's network in place, by `codes` (see `read_codes`) of the indices' images in
    splits `train` and `valid`.

    {}, and no AU changed, where none has `LEAST_CODED` faces with it and without it. The landmark net finds the points,
    as at run time.

    Raises:
        ConfigError: a network without evidence of its own (`knowledge` "targets").
        DatasetError: none of the coded images is there.
    """
    network, info = load_network(checkpoint, device)
    if network.config.knowledge != "odds" or not isinstance(network, AueCrl):
        raise ConfigError(f"codes of AUs weigh evidence and prior, and {checkpoint} is of a network without evidence")
    chosen = []
    for index in indices:
        known = [r for r in index.records if r.learnable and r.split in ("train", "valid") and r.image in codes]
        chosen.append(replace(index, records=tuple(known)))
    if not any(index.records for index in chosen):
        named = next(iter(codes), "none")
        raise DatasetError(
            f"no coded image ({named}, ...) is in splits train and valid of {', '.join(str(i.file) for i in indices)}; "
            "name images as the index does"
        )
    loader = make_loader(FaceDataset(chosen, network.config.preprocessing), config, device, None)
    logits, beliefs = [], []
    for hidden, out, _ in read_evidence_layer(network, loader, device):
        logits.append(network.action_unit_branch.evidence.classifier(hidden).detach().cpu())
        beliefs.append(out.expression_logits.float().softmax(dim=1).cpu())
    evidence, expressions = torch.cat(logits), torch.cat(beliefs)
    coded = [codes[record.image] for index in chosen for record in index.records]
    corrections = {}
    for i, unit in enumerate(ACTION_UNITS):
        rows = [n for n, one in enumerate(coded) if unit in one]
        said = torch.tensor([coded[n][unit] for n in rows])
        if EVIDENCE[unit].present_from is None and min((said == 1).sum(), (said == 0).sum()) >= LEAST_CODED:
            table = network.prior_odds.table[:, i].cpu()
            corrections[unit] = fit_unit(evidence[rows, i], expressions[rows], table, said)
    correct_units(network, corrections)
    told = {f"AU{unit}": [round(value, 3) for value in found[:3]] for unit, found in corrections.items()}
    info = replace(info, metrics={**info.metrics, "unit_corrections": told})
    save_network(checkpoint, network, info, None if info.prior is None else network.prior_odds.table)
    return corrections
