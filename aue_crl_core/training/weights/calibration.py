"""Calibration: after the last stage, answers and confidences are made to mean what they say on the validation split.

Label smoothing, crowd votes and averaged weights leave a classifier less sure than it is right, and of some classes
surer than of others. One temperature and one bias per class, for each classifier, mend that (bias-corrected temperature
scaling: Alexandari et al., ICML 2020; without the biases Guo et al., ICML 2017); the network's form stays as it is.
From then on, answers below a confidence are `uncertain`: the curve of risk over coverage (El-Yaniv & Wiener, JMLR 2010)
says where.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aue_crl_core.checkpoint import load_network, save_network
from aue_crl_core.data.dataset import Sample
from aue_crl_core.networks.network import Correction, FaceNetwork
from aue_crl_core.training.loop import Figures, normalise, rates
from aue_crl_core.training.stages.stage import sample_points

_RANGE: Final = (0.2, 5.0)
_ITERATIONS: Final = 200
_RISK: Final = 0.1
"""Of the answers that are relied on, at most so many may be wrong on the validation split."""
_COVERAGES: Final = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)


class Calibration(NamedTuple):
    """What was done to both classifiers, and how often the fused one was right on the `faces` before and after (the
    names of `rates`)."""

    expression: Correction
    fused: Correction
    faces: int
    before: Figures
    after: Figures


def fit_correction(logits: Tensor, labels: Tensor, adjustment: Tensor) -> Correction:
    """The temperature T in [0.2, 5] and the biases that make `labels` (int64 N) likeliest under
    softmax(`logits` / T + bias + `adjustment`), `logits` float NxC.

    `adjustment` float C is what training added to the logits (`TrainConfig.logit_adjustment` times the classes' log
    frequencies): with it the answers favour rare classes as much as the training meant them to, with zeros not at all.
    A bias is drawn towards 0 as by a Gaussian prior of width 1: a class that `labels` hardly has keeps its own.
    """
    logits, adjustment = logits.double(), adjustment.double()
    at_one = torch.ones((), dtype=torch.float64, device=logits.device)
    scale, bias = _likeliest(logits, labels, adjustment, at_one, fixed=False)
    low, high = (1 / bound for bound in reversed(_RANGE))
    if not low <= float(scale) <= high:
        scale, bias = _likeliest(logits, labels, adjustment, scale.clamp(low, high), fixed=True)
    return Correction(1 / float(scale), bias.float())


def _likeliest(logits: Tensor, labels: Tensor, adjustment: Tensor, scale: Tensor, fixed: bool) -> tuple[Tensor, Tensor]:
    """1 / T (`scale` itself, where it is fixed) and the biases: a convex problem."""
    bias = torch.zeros_like(adjustment, requires_grad=True)
    scale = scale.clone().requires_grad_(not fixed)
    free = [bias] if fixed else [scale, bias]
    optimiser = torch.optim.LBFGS(
        free, max_iter=_ITERATIONS, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(logits * scale + bias + adjustment, labels) + bias.square().sum() / (2 * len(labels))
        value.backward()
        return value

    optimiser.step(loss)
    return scale.detach(), bias.detach()


def uncertain_below(confidences: Tensor, right: Tensor, risk: float = _RISK) -> float:
    """The least confidence (float N) from which on at most `risk` of the answers (`right` bool N) are wrong.

    Where even the surest are wrong more often: the largest confidence.
    """
    surest, order = confidences.double().sort(descending=True)
    wrong = (~right[order]).double().cumsum(0) / torch.arange(1, len(order) + 1, device=order.device)
    within = (wrong <= risk).nonzero()
    return float(surest[int(within[-1]) if len(within) else 0])


def risk_over_coverage(confidences: Tensor, right: Tensor) -> list[dict[str, float]]:
    """Of the surest answers, a share `coverage`: how many are wrong, and from which confidence they are."""
    surest, order = confidences.double().sort(descending=True)
    rows = []
    for coverage in _COVERAGES:
        kept = max(1, round(coverage * len(order)))
        risk = float((~right[order[:kept]]).double().mean())
        rows.append({"coverage": coverage, "risk": round(risk, 4), "confidence": round(float(surest[kept - 1]), 4)})
    return rows


def calibrate(checkpoint: Path, loader: Iterable[Sample], device: str, adjustment: Tensor) -> Calibration:
    """Correct the logits of a checkpoint's classifiers in place, and record how, with how often it is right now, the
    curve of risk over coverage and the confidence that follows from it (`ModelConfig.uncertain_below`); `adjustment` as
    in `fit_correction`.

    A second call finds next to nothing left to correct.
    """
    network, info = load_network(checkpoint, device)
    logits, labels = _outputs(network, loader, device)
    found = {name: fit_correction(rows, labels, adjustment.to(device)) for name, rows in logits.items()}
    network.correct_logits(**found)
    fused = found["fused"]
    plain = torch.softmax(logits["fused"].double(), dim=1)
    calibrated = torch.softmax(logits["fused"].double() / fused.temperature + fused.bias, dim=1)
    before, after = (
        rates(labels.cpu().numpy(), p.cpu().numpy(), network.config.expressions) for p in (plain, calibrated)
    )
    confidences, answers = calibrated.max(dim=1)
    right = answers == labels
    network.config = replace(network.config, uncertain_below=round(uncertain_below(confidences, right), 3))
    recorded: dict[str, Any] = {**after, "risk_over_coverage": risk_over_coverage(confidences, right)}
    for name, correction in found.items():
        recorded[f"{name}_temperature"] = correction.temperature
        recorded[f"{name}_bias"] = [round(value, 4) for value in correction.bias.tolist()]
    prior = None if info.prior is None else torch.tensor(info.prior)
    info = replace(info, config=network.config, metrics={**info.metrics, **recorded})
    save_network(checkpoint, network, info, prior)
    return Calibration(found["expression"], fused, len(labels), before, after)


@torch.no_grad()
def _outputs(network: FaceNetwork, loader: Iterable[Sample], device: str) -> tuple[dict[str, Tensor], Tensor]:
    """The logits of both classifiers, float32 NxC, and the labels, int64 N."""
    logits: dict[str, list[Tensor]] = {"expression": [], "fused": []}
    labels = []
    for sample in loader:
        sample = Sample(*(t.to(device) for t in sample))
        images = normalise(sample.image, network.config.preprocessing)
        output = network(images, sample_points(network, images, sample))
        logits["expression"].append(output.expression_logits.float())
        logits["fused"].append(output.fused_logits.float())
        labels.append(sample.target.argmax(dim=1))
    return {name: torch.cat(rows) for name, rows in logits.items()}, torch.cat(labels)
