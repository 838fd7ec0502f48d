"""Stage AU: the action unit branch and the prior, by the psychological knowledge; the backbone is frozen."""

from __future__ import annotations

import torch
from torch import Tensor

from aue_crl_core.config import ModelConfig
from aue_crl_core.data.dataset import Sample
from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.losses import prior_regulariser, weighted_au_loss
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.backbone import pyramid_shapes
from aue_crl_core.training.stages.stage import (
    FeatureBatch,
    Inputs,
    Losses,
    Setting,
    Stage,
    pairwise_of_all_rows,
    sample_points,
)


def action_unit_inputs(network: AueCrl, images: Tensor, sample: Sample) -> Inputs:
    """The frozen backbone's four maps, and the face points."""
    return (*network.backbone(images), sample_points(network, images, sample))


def action_unit_input_shapes(config: ModelConfig) -> tuple[tuple[int, ...], ...]:
    """The shapes of `action_unit_inputs` for one image."""
    return (*pyramid_shapes(config), (NUM_POINTS, 2))


def action_unit_loss(network: AueCrl, inputs: Inputs, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """Stage AU: weighted squared error to the prior's row + 0.5 pairwise + prior regulariser."""
    c2, c3, c4, c5, points = inputs
    logits = network.action_unit_branch((c2, c3, c4, c5), points).logits
    probabilities = torch.sigmoid(logits)
    return {
        "action_unit": weighted_au_loss(probabilities.float(), setting.prior.targets(batch.target)),
        "pairwise": 0.5 * pairwise_of_all_rows(probabilities, setting),
        "prior": prior_regulariser(setting.prior),
    }


STAGE = Stage(
    "action_unit",
    ("action_unit_branch",),
    action_unit_inputs,
    action_unit_loss,
    "action_unit",
    False,
    follows="expression",
    knowledge="targets",
    trains_prior=True,
    input_shapes=action_unit_input_shapes,
)
