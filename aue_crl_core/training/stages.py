"""The training stages as a table: what is trained, what it minimises, and what counts as better.

The paper's three are `expression`, `action_unit` and `fusion`; `landmark` trains the net that finds the face points,
which the paper took from a tool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.data.dataset import Sample
from aue_crl_core.facs import OUTER_EYE_CORNERS
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.losses import pairwise_dependency_loss, prior_regulariser, weighted_au_loss
from aue_crl_core.networks.aue_crl import AueCrl, NetworkOutput
from aue_crl_core.training.config import StageName, TrainConfig


@dataclass(frozen=True)
class Setting:
    """What a loss needs besides the batch: `log_frequency` C, log of each class's share in the training data."""

    config: TrainConfig
    prior: LearnablePrior
    log_frequency: Tensor


Losses = dict[str, Tensor]
"""Weighted terms by name; their sum is minimised."""


@dataclass(frozen=True)
class Stage:
    """A row of the table.

    `trained`: parts of the network by attribute path; all else is frozen, BatchNorm statistics too. `trains_prior`:
    whether the prior table is trained as well. `loss(network, images, sample, setting)`: images are normalised.
    `score`: the validation figure by which epochs are compared. `logits`: the head whose accuracy validation measures;
    None: it measures the loss terms.
    """

    name: StageName
    trained: tuple[str, ...]
    loss: Callable[[AueCrl, Tensor, Sample, Setting], Losses]
    score: str
    higher_is_better: bool
    trains_prior: bool = False
    logits: Literal["expression", "fused"] | None = None

    def prepare(
        self, network: AueCrl, prior: LearnablePrior, training: bool
    ) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Set modes and gradients for this stage; the parameters to train, of the network and of the prior."""
        network.eval().requires_grad_(False)
        prior.requires_grad_(self.trains_prior)
        parameters: list[nn.Parameter] = []
        for path in self.trained:
            part = network.get_submodule(path)
            part.train(training).requires_grad_(True)
            parameters += part.parameters()
        return parameters, list(prior.parameters()) if self.trains_prior else []


def sample_points(network: AueCrl, images: Tensor, sample: Sample) -> Tensor:
    """The index's points, or the landmark net's where the index has none: Bx68x2 in input pixels."""
    if bool(sample.has_points.all()):
        return sample.points
    return torch.where(sample.has_points[:, None, None], sample.points, network.find_points(images))


def _forward(network: AueCrl, images: Tensor, sample: Sample) -> NetworkOutput:
    return network(images, sample_points(network, images, sample))


def balanced_cross_entropy(logits: Tensor, target: Tensor, setting: Setting) -> Tensor:
    """Cross entropy with class distributions, logits adjusted by class frequency (Menon et al., ICLR 2021).

    `logits` and `target` float BxC; the result is a scalar.
    """
    adjusted = logits.float() + setting.config.logit_adjustment * setting.log_frequency
    smoothing = setting.config.label_smoothing
    target = (1 - smoothing) * target + smoothing / target.shape[1]
    return F.cross_entropy(adjusted, target)


def expression_loss(network: AueCrl, images: Tensor, sample: Sample, setting: Setting) -> Losses:
    """Stage EM: cross entropy of the expression branch."""
    _, logits = network.expression_branch(network.backbone(images))
    return {"expression": balanced_cross_entropy(logits, sample.target, setting)}


def action_unit_loss(network: AueCrl, images: Tensor, sample: Sample, setting: Setting) -> Losses:
    """Stage AU: weighted squared error to the prior's row + 0.5 pairwise + prior regulariser."""
    pyramid = network.backbone(images)
    probabilities, _ = network.action_unit_branch(pyramid, sample_points(network, images, sample))
    return {
        "action_unit": weighted_au_loss(probabilities.float(), setting.prior.targets(sample.target)),
        "pairwise": 0.5 * pairwise_dependency_loss(probabilities.float(), setting.config.pairwise_form),
        "prior": prior_regulariser(setting.prior),
    }


def fusion_loss(network: AueCrl, images: Tensor, sample: Sample, setting: Setting) -> Losses:
    """Stage Fuse: both cross entropies + 0.05 pairwise on the attention."""
    output = _forward(network, images, sample)
    return {
        "expression": balanced_cross_entropy(output.expression_logits, sample.target, setting),
        "fused": balanced_cross_entropy(output.fused_logits, sample.target, setting),
        "pairwise": 0.05 * pairwise_dependency_loss(output.attention.float(), setting.config.pairwise_form),
    }


def landmark_loss(network: AueCrl, images: Tensor, sample: Sample, setting: Setting) -> Losses:
    """Distance of the points in eye distances, softened near zero, where there is a face; and face or no face."""
    points, logit = network.landmark_net(images)
    error = normalised_point_error(points, sample.points)
    error = (error + 0.02 * torch.expm1(-error / 0.02)) * sample.has_points[:, None]
    face = F.binary_cross_entropy_with_logits(logit.float(), sample.target[:, 0])
    return {"points": error.sum() / (error.shape[1] * sample.has_points.sum().clamp(min=1)), "face": 0.05 * face}


def normalised_point_error(points: Tensor, truth: Tensor) -> Tensor:
    """Distance of each point from its true place over the true distance of the outer eye corners: Bx68.

    The denominator is at least a fifth of the face's size, so that profiles do not count without bound.
    """
    right, left = truth[:, OUTER_EYE_CORNERS[0]], truth[:, OUTER_EYE_CORNERS[1]]
    size = (truth.amax(dim=1) - truth.amin(dim=1)).amax(dim=1)
    scale = torch.maximum((left - right).norm(dim=1), 0.2 * size).clamp(min=1e-3)
    return (points.float() - truth).norm(dim=2) / scale[:, None]


STAGES: Final[dict[StageName, Stage]] = {
    "landmark": Stage("landmark", ("landmark_net",), landmark_loss, "point_error", False),
    "expression": Stage(
        "expression", ("backbone", "expression_branch"), expression_loss, "score", True, False, "expression"
    ),
    "action_unit": Stage("action_unit", ("action_unit_branch",), action_unit_loss, "action_unit", False, True),
    "fusion": Stage("fusion", ("fusion", "expression_branch.classifier"), fusion_loss, "score", True, False, "fused"),
}

SEQUENCE: Final[tuple[StageName, ...]] = ("expression", "action_unit", "fusion")
"""What `--stage all` runs, in order."""
