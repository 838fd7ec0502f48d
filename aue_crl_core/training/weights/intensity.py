"""Intensities: after the last stage, the network learns to tell how strong action units are (FACS A to E as 1 to 5).

Whether an AU is there and how strong it is are two questions: a probability is near 1 from a clear smile on, and does
not tell it from a broad one. The layer that the evidence of the AUs is read from knows the difference, so nothing of
the network is trained again: a second reading of that layer, logistic in form, is fitted to what the face mesh measures
(`au_evidence.strengths`). The scale is that of the training faces, not of human coders: 0 as on neutral faces, 5 as on
the strongest hundredth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aue_crl_core.checkpoint import load_network, save_network
from aue_crl_core.data.au_evidence import INTENSITY_UNITS
from aue_crl_core.data.dataset import FaceDataset, Sample
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.evaluation.au_metrics import concordance
from aue_crl_core.facs import ACTION_UNITS, MOST_INTENSITY
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.network import NetworkOutput
from aue_crl_core.training.batches.evidence import measured, unit_strengths
from aue_crl_core.training.batches.loading import make_loader
from aue_crl_core.training.config import TrainConfig
from aue_crl_core.training.loop import normalise

_MOST_FACES: Final = 12_000
"""Of an index; a linear map needs no more."""
_LEAST_FACES: Final = 200
"""In all; fewer would not do better than what weights may know already."""
_ITERATIONS: Final = 300
_COLUMNS: Final = [ACTION_UNITS.index(unit) for unit in INTENSITY_UNITS]


class IntensityFit(NamedTuple):
    """`faces` that it was fitted to, and for each unit how it agrees with the mesh on the validation split: Lin's
    concordance correlation, NaN without faces there."""

    faces: int
    concordance: dict[int, float]


def fit_reading(hidden: Tensor, strengths: Tensor) -> tuple[Tensor, Tensor]:
    """Weight IxE and bias I, float32, for which sigmoid(`hidden` @ weight.T + bias) is likeliest to be `strengths`.

    `hidden` float NxE, `strengths` float NxI in [0, 1]: the mean of the logistic model, by cross entropy, a convex
    problem; weights, in units of each column's spread, are drawn towards 0 as by a Gaussian prior of width 1.
    """
    hidden, strengths = hidden.double(), strengths.double()
    mean, spread = hidden.mean(dim=0), hidden.std(dim=0) + 1e-3
    columns = (hidden - mean) / spread
    weight = columns.new_zeros(strengths.shape[1], columns.shape[1], requires_grad=True)
    bias = columns.new_zeros(strengths.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        wrong = F.binary_cross_entropy_with_logits(F.linear(columns, weight, bias), strengths, reduction="none")
        value = (wrong.sum() + weight.square().sum() / 2) / len(strengths)
        value.backward()
        return value

    optimiser.step(loss)
    scaled = weight.detach() / spread
    return scaled.float(), (bias.detach() - scaled @ mean).float()


def fit_intensities(
    checkpoint: Path, indices: Sequence[DatasetIndex], config: TrainConfig, device: str
) -> IntensityFit | None:
    """Have a checkpoint's network tell intensities, in place; None, and nothing done, where there is nothing to learn
    them from: a network without evidence of its own (`knowledge` "targets"), or hardly a training face of which an
    index has what a face mesh shows.

    `indices` with splits `train` and `valid`; the landmark net finds the points, as at run time.
    """
    strengths = unit_strengths(indices)
    network, info = load_network(checkpoint, device)
    if network.config.knowledge != "odds" or not isinstance(network, AueCrl) or not strengths:
        return None

    def faces(split: str) -> Iterable[Sample]:
        chosen = []
        for index in indices:
            known = [r for r in measured(index) if r.split == split and (index.root, r.image) in strengths]
            chosen.append(replace(index, records=tuple(known[:: max(1, -(-len(known) // _MOST_FACES))])))
        if not any(index.records for index in chosen):
            return ()
        dataset = FaceDataset(chosen, network.config.preprocessing, evidence=strengths)
        return make_loader(dataset, config, device, None)

    hidden, shown = _read(network, faces("train"), device)
    if len(hidden) < _LEAST_FACES:
        return None
    network.tell_intensities(INTENSITY_UNITS, *fit_reading(hidden, shown))
    agreement = dict.fromkeys(INTENSITY_UNITS, float("nan"))
    valid, right = _read(network, faces("valid"), device)
    if len(valid):
        head = network.action_unit_branch.evidence
        said = MOST_INTENSITY * F.linear(valid, head.intensity_weight, head.intensity_bias).sigmoid().cpu().numpy()
        columns = zip(INTENSITY_UNITS, said.T, MOST_INTENSITY * right.cpu().numpy().T, strict=True)
        agreement = {unit: concordance(ours, theirs) for unit, ours, theirs in columns}
    told = {"intensity_concordance": {str(unit): round(value, 3) for unit, value in agreement.items()}}
    prior = None if info.prior is None else torch.tensor(info.prior)
    save_network(checkpoint, network, replace(info, config=network.config, metrics={**info.metrics, **told}), prior)
    return IntensityFit(len(hidden), agreement)


def read_evidence_layer(
    network: AueCrl, loader: Iterable[Sample], device: str
) -> Iterator[tuple[Tensor, NetworkOutput, Sample]]:
    """Of each batch: what the layer says that the evidence is read from, float32 BxE, the network's output, and the
    batch itself. Without gradient; the landmark net finds the points, as at run time."""
    seen: list[Tensor] = []
    hook = network.action_unit_branch.evidence.classifier.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].float())
    )
    try:
        for sample in loader:
            with torch.no_grad():
                out = network(normalise(sample.image.to(device), network.config.preprocessing))
            yield seen.pop(), out, sample
    finally:
        hook.remove()


def _read(network: AueCrl, loader: Iterable[Sample], device: str) -> tuple[Tensor, Tensor]:
    """What the evidence's layer says of faces, float32 NxE, and how strong their AUs are, float32 NxI."""
    seen, shown = [], []
    for hidden, _, sample in read_evidence_layer(network, loader, device):
        seen.append(hidden)
        shown.append(sample.evidence[:, _COLUMNS].to(device))
    nothing = torch.zeros(0, 0, device=device)
    return (torch.cat(seen), torch.cat(shown)) if seen else (nothing, nothing)
