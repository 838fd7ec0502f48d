"""Temperature scaling: after the last stage, confidences are made to mean what they say on the validation split.

Label smoothing, crowd votes and logit adjustment all leave a classifier less sure than it is right. One temperature per
classifier (Guo et al., ICML 2017) mends that; it is divided into the classifier's weights, so the network's form and
every decision stay as they are.
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


@torch.inference_mode()
def calibrate(checkpoint: Path, loader: Iterable[Sample], device: str) -> dict[str, float]:
    """Scale both expression classifiers of a checkpoint in place; returns the temperatures, which it also records.

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
    classifiers = {"expression": network.expression_branch.classifier, "fused": network.fusion.classifier}
    temperatures = {}
    for name, classifier in classifiers.items():
        temperature = fit_temperature(torch.cat(logits[name]), torch.cat(labels))
        temperatures[f"{name}_temperature"] = temperature
        for parameter in classifier.parameters():
            parameter.data.div_(temperature)
    prior = None if info.prior is None else torch.tensor(info.prior)
    save_network(checkpoint, network, replace(info, metrics={**info.metrics, **temperatures}), prior)
    return temperatures
