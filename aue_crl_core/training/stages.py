"""The training stages as a table: what is trained, what it minimises, and what counts as better.

The paper's three are `expression`, `action_unit` and `fusion`; `landmark` trains the net that finds the face points,
which the paper took from a tool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.data.dataset import Sample
from aue_crl_core.facs import NUM_POINTS, OUTER_EYE_CORNERS
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.losses import pairwise_dependency_loss, prior_regulariser, weighted_au_loss
from aue_crl_core.networks.action_unit_branch import NUM_UNITS, SIDES
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.backbone import pyramid_shapes
from aue_crl_core.training.config import StageName, TrainConfig
from aue_crl_core.training.distributed import ALONE, Processes


@dataclass(frozen=True)
class Setting:
    """What a loss needs besides the batch: `log_frequency` C, log of each class's share in the training data;
    `processes`: those that hold the other rows of the batch."""

    config: TrainConfig
    prior: LearnablePrior
    log_frequency: Tensor
    processes: Processes = ALONE


Losses = dict[str, Tensor]
"""Weighted terms by name; their sum is minimised."""

Inputs = tuple[Tensor, ...]
"""What the trained parts of a stage are fed with, each with a leading dimension B."""


class FeatureBatch(NamedTuple):
    """A batch whose `inputs` were computed before; `target` float32 BxC, class weights that sum to 1."""

    inputs: Inputs
    target: Tensor


@dataclass(frozen=True)
class Stage:
    """A row of the table.

    `trained`: parts of the network by attribute path; all else is frozen, BatchNorm statistics too. `inputs(network,
    images, sample)`: what the frozen parts make of a batch, images normalised; it needs no gradient. `loss(network,
    inputs, batch, setting)`: the terms to minimise; with several processes the mean over them is that of the whole
    batch, so a term that is no mean over rows is taken over all rows. `score`: the validation figure by which epochs
    are compared. `trains_prior`: whether the prior table is trained as well. `logits(network, inputs)`: the head whose
    accuracy validation measures beside the loss terms. `loss_of_logits(logits, batch, setting)`: the loss of a stage
    that sees nothing but these, so that validation runs the network once. `input_shapes`: the shapes of one image's
    inputs, for a stage whose inputs can be kept on disk. `calibrated`: whether it gets temperatures.
    """

    name: StageName
    trained: tuple[str, ...]
    inputs: Callable[[AueCrl, Tensor, Sample], Inputs]
    loss: Callable[[AueCrl, Inputs, Sample | FeatureBatch, Setting], Losses]
    score: str
    higher_is_better: bool
    trains_prior: bool = False
    logits: Callable[[AueCrl, Inputs], Tensor] | None = None
    loss_of_logits: Callable[[Tensor, Sample | FeatureBatch, Setting], Losses] | None = None
    input_shapes: Callable[[ModelConfig], tuple[tuple[int, ...], ...]] | None = None
    calibrated: bool = False

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


def balanced_cross_entropy(logits: Tensor, target: Tensor, setting: Setting) -> Tensor:
    """Cross entropy with class distributions, logits adjusted by class frequency (Menon et al., ICLR 2021).

    `logits` and `target` float BxC; the result is a scalar.
    """
    adjusted = logits.float() + setting.config.logit_adjustment * setting.log_frequency
    smoothing = setting.config.label_smoothing
    target = (1 - smoothing) * target + smoothing / target.shape[1]
    return F.cross_entropy(adjusted, target)


def _pairwise(probabilities: Tensor, setting: Setting) -> Tensor:
    """The pairwise loss over the rows of all processes: it compares means over the batch, and is no mean itself."""
    return pairwise_dependency_loss(setting.processes.gather_rows(probabilities.float()), setting.config.pairwise_form)


def image_inputs(network: AueCrl, images: Tensor, sample: Sample) -> Inputs:
    """Nothing is frozen before the trained parts: the images themselves."""
    return (images,)


def expression_logits(network: AueCrl, inputs: Inputs) -> Tensor:
    """The expression branch's logits BxC of images (at any of the sizes that stage EM trains on)."""
    return network.expression_branch(network.backbone(inputs[0]))[1]


def expression_loss(network: AueCrl, inputs: Inputs, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """Stage EM: cross entropy of the expression branch."""
    return expression_loss_of_logits(expression_logits(network, inputs), batch, setting)


def expression_loss_of_logits(logits: Tensor, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """The loss of stage EM from the expression branch's logits BxC."""
    return {"expression": balanced_cross_entropy(logits, batch.target, setting)}


def action_unit_inputs(network: AueCrl, images: Tensor, sample: Sample) -> Inputs:
    """The frozen backbone's four maps, and the face points."""
    return (*network.backbone(images), sample_points(network, images, sample))


def action_unit_input_shapes(config: ModelConfig) -> tuple[tuple[int, ...], ...]:
    """The shapes of `action_unit_inputs` for one image."""
    return (*pyramid_shapes(config), (NUM_POINTS, 2))


def action_unit_loss(network: AueCrl, inputs: Inputs, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """Stage AU: weighted squared error to the prior's row + 0.5 pairwise + prior regulariser."""
    c2, c3, c4, c5, points = inputs
    probabilities, _ = network.action_unit_branch((c2, c3, c4, c5), points)
    return {
        "action_unit": weighted_au_loss(probabilities.float(), setting.prior.targets(batch.target)),
        "pairwise": 0.5 * _pairwise(probabilities, setting),
        "prior": prior_regulariser(setting.prior),
    }


def fusion_inputs(network: AueCrl, images: Tensor, sample: Sample) -> Inputs:
    """Expression feature BxF and region vectors Bx17x2xV: all that the last stage sees of an image."""
    pyramid = network.backbone(images)
    feature, _ = network.expression_branch(pyramid)
    _, vectors = network.action_unit_branch(pyramid, sample_points(network, images, sample))
    return feature, vectors


def fusion_input_shapes(config: ModelConfig) -> tuple[tuple[int, ...], ...]:
    """The shapes of `fusion_inputs` for one image."""
    return (config.feature_dim,), (NUM_UNITS, SIDES, config.region_dim)


def fusion_loss(network: AueCrl, inputs: Inputs, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """Stage Fuse: both cross entropies + 0.05 pairwise on the attention."""
    feature, vectors = inputs
    logits, attention = network.fusion(feature, vectors)
    return {
        "expression": balanced_cross_entropy(network.expression_branch.classifier(feature), batch.target, setting),
        "fused": balanced_cross_entropy(logits, batch.target, setting),
        "pairwise": 0.05 * _pairwise(attention, setting),
    }


def fused_logits(network: AueCrl, inputs: Inputs) -> Tensor:
    """The whole network's logits BxC of `fusion_inputs`."""
    return network.fusion(*inputs)[0]


def landmark_loss(network: AueCrl, inputs: Inputs, batch: Sample, setting: Setting) -> Losses:
    """Distance of the points in eye distances, softened near zero, where there is a face; and face or no face."""
    points, logit = network.landmark_net(inputs[0])
    error = normalised_point_error(points, batch.points)
    error = (error + 0.02 * torch.expm1(-error / 0.02)) * batch.has_points[:, None]
    faces = setting.processes.mean(batch.has_points.sum().float()).clamp(min=1 / setting.processes.world_size)
    face = F.binary_cross_entropy_with_logits(logit.float(), batch.target[:, 0])
    return {"points": error.sum() / (error.shape[1] * faces), "face": 0.05 * face}


def normalised_point_error(points: Tensor, truth: Tensor) -> Tensor:
    """Distance of each point from its true place over the true distance of the outer eye corners: Bx68.

    The denominator is at least a fifth of the face's size, so that profiles do not count without bound.
    """
    right, left = truth[:, OUTER_EYE_CORNERS[0]], truth[:, OUTER_EYE_CORNERS[1]]
    size = (truth.amax(dim=1) - truth.amin(dim=1)).amax(dim=1)
    scale = torch.maximum((left - right).norm(dim=1), 0.2 * size).clamp(min=1e-3)
    return (points.float() - truth).norm(dim=2) / scale[:, None]


STAGES: Final[dict[StageName, Stage]] = {
    "landmark": Stage("landmark", ("landmark_net",), image_inputs, landmark_loss, "point_error", False),
    "expression": Stage(
        "expression",
        ("backbone", "expression_branch"),
        image_inputs,
        expression_loss,
        "score",
        True,
        logits=expression_logits,
        loss_of_logits=expression_loss_of_logits,
    ),
    "action_unit": Stage(
        "action_unit",
        ("action_unit_branch",),
        action_unit_inputs,
        action_unit_loss,
        "action_unit",
        False,
        trains_prior=True,
        input_shapes=action_unit_input_shapes,
    ),
    "fusion": Stage(
        "fusion",
        ("fusion", "expression_branch.classifier"),
        fusion_inputs,
        fusion_loss,
        "score",
        True,
        logits=fused_logits,
        input_shapes=fusion_input_shapes,
        calibrated=True,
    ),
}

SEQUENCE: Final[tuple[StageName, ...]] = ("expression", "action_unit", "fusion")
"""What `--stage all` runs, in order."""
