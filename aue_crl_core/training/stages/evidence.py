"""Stage evidence: how the evidence of action units is read from the regions, anew; all else stays as it is.

For weights whose expressions are as they should be, when what counts as evidence has changed, or the faces have: it
takes a fraction of stage joint's time and changes no expression.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aue_crl_core.data.dataset import Sample
from aue_crl_core.losses import evidence_loss, posterior_loss
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training.stages.stage import FeatureBatch, Inputs, Losses, Setting, Stage


def evidence_inputs(network: AueCrl, images: Tensor, sample: Sample) -> Inputs:
    """What the head sees (region vectors BxRV, feature BxF, the landmark net's points Bx68x2), and the expression
    branch's logits BxC."""
    points = network.find_points(images)
    pyramid = network.backbone(images)
    feature, expression_logits = network.expression_branch(pyramid)
    vectors = network.action_unit_branch.region_vectors(pyramid, points)
    return vectors.flatten(1), feature, points, expression_logits


def unit_losses(network: AueCrl, logits: Tensor, probabilities: Tensor, batch: Sample | FeatureBatch) -> Losses:
    """How far the AUs' `logits` Bx17 are from the evidence, and their `probabilities` Bx17 from what evidence and the
    label's prior say together."""
    posterior = torch.sigmoid(batch.evidence + network.prior_odds(batch.target))
    return {
        "evidence": 0.5 * evidence_loss(logits, batch.evidence),
        "action_unit": 0.5 * posterior_loss(probabilities, posterior),
    }


def evidence_stage_loss(network: AueCrl, inputs: Inputs, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """The evidence of the AUs, and their probabilities, as in stage joint."""
    regions, feature, points, expression_logits = inputs
    logits, _ = network.action_unit_branch.evidence(regions, feature, points)
    return unit_losses(network, logits, network.unit_probabilities(logits.float(), expression_logits), batch)


STAGE = Stage(
    "evidence",
    ("action_unit_branch.evidence",),
    evidence_inputs,
    evidence_stage_loss,
    "loss",
    False,
    follows="joint",
    knowledge="odds",
    keeps_expressions=True,
)
