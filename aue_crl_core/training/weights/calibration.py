"""Temperature scaling: after the last stage, confidences are made to mean what they say on the validation split.

Label smoothing, crowd votes and logit adjustment all leave a classifier less sure than it is right. One temperature per
classifier (Guo et al., ICML 2017) mends that; the network's form and every decision stay as they are. From then on,
answers below a confidence are `uncertain`: the curve of risk over coverage (El-Yaniv & Wiener, JMLR 2010) says where.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from aue_crl_core.checkpoint import load_network, save_network
from aue_crl_core.data.dataset import Sample
from aue_crl_core.training.loop import normalise
from aue_crl_core.training.stages.stage import sample_points

_RANGE: Final = (0.2, 5.0)
_STEPS: Final = 40
_RISK: Final = 0.1
"""Of the answers that are relied on, at most so many may be wrong on the validation split."""
_COVERAGES: Final = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature in [0.2, 5] that makes `labels` (int64 N) most likely under softmax(`logits` / T) (float NxC)."""
    low, high = (float(torch.tensor(bound).log()) for bound in _RANGE)
    golden = (5**0.5 - 1) / 2

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits.double() / torch.tensor(log_temperature).exp(), labels))

    for _ in range(_STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(torch.tensor((low + high) / 2).exp())


def uncertain_below(confidences: Tensor, right: Tensor, risk: float = _RISK) -> float:
    """The least confidence (float N) from which on at most `risk` of the answers (`right` bool N) are wrong.

    Where even the surest are wrong more often: the largest confidence.
    """
    surest, order = confidences.double().sort(descending=True)
    wrong = (~right[order]).double().cumsum(0) / torch.arange(1, len(order) + 1)
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


@torch.inference_mode()
def calibrate(checkpoint: Path, loader: Iterable[Sample], device: str) -> dict[str, float]:
    """Divide the logits of a checkpoint's classifiers in place; returns the temperatures, which it also records, with
    the curve of risk over coverage and the confidence that follows from it (`ModelConfig.uncertain_below`).

    A second call changes nothing: the temperatures of a calibrated classifier are 1.
    """
    network, info = load_network(checkpoint, device)
    logits: dict[str, list[Tensor]] = {"expression": [], "fused": []}
    labels = []
    for sample in loader:
        sample = Sample(*(t.to(device) for t in sample))
        images = normalise(sample.image, network.config.preprocessing)
        output = network(images, sample_points(network, images, sample))
        logits["expression"].append(output.expression_logits.float())
        logits["fused"].append(output.fused_logits.float())
        labels.append(sample.target.argmax(dim=1))
    found = {name: fit_temperature(torch.cat(rows), torch.cat(labels)) for name, rows in logits.items()}
    network.divide_logits(**found)
    temperatures = {f"{name}_temperature": temperature for name, temperature in found.items()}
    calibrated = torch.softmax(torch.cat(logits["fused"]).double() / found["fused"], dim=1)
    confidences, answers = calibrated.max(dim=1)
    right = answers == torch.cat(labels)
    network.config = replace(network.config, uncertain_below=round(uncertain_below(confidences, right), 3))
    metrics = {**info.metrics, **temperatures, "risk_over_coverage": risk_over_coverage(confidences, right)}
    prior = None if info.prior is None else torch.tensor(info.prior)
    save_network(checkpoint, network, replace(info, config=network.config, metrics=metrics), prior)
    return temperatures
