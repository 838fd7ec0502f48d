"""Stage joint: all of the network at once, expressions and action units teaching the trunk together.

It is not in the paper, whose stages each freeze what came before: there the action units can't change what the trunk
sees, and learn rows of a table that say no more than the expression did. Here they follow what a face mesh shows of
each face, with the prior beside it (see `knowledge`). The trunk up to its stride-4 map stays as stage expression left
it: on a CPU that is half of a step's time.
"""

from __future__ import annotations

from torch import Tensor

from aue_crl_core.data.dataset import Sample
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training.stages.evidence import unit_losses
from aue_crl_core.training.stages.stage import (
    FeatureBatch,
    Inputs,
    Losses,
    Setting,
    Stage,
    balanced_cross_entropy,
    image_inputs,
    pairwise_of_all_rows,
)


def joint_loss(network: AueCrl, inputs: Inputs, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """Both cross entropies, the evidence of the AUs, their probabilities, and the pairs.

    The points are the landmark net's own, as at run time: those of the index come from the same mesh as the evidence,
    and a head that sees them learns to read them off.
    """
    (images,) = inputs
    points = network.find_points(images)
    pyramid = network.backbone(images)
    feature, expression_logits = network.expression_branch(pyramid)
    units = network.action_unit_branch(pyramid, points, feature)
    fused_logits, attention = network.fusion(feature, units.vectors)
    probabilities = network.unit_probabilities(units.logits, expression_logits.detach())
    return {
        "expression": balanced_cross_entropy(expression_logits, batch.target, setting),
        "fused": balanced_cross_entropy(fused_logits, batch.target, setting),
        **unit_losses(network, units.logits, probabilities, batch),
        "pairwise": 0.05 * (pairwise_of_all_rows(attention, setting) + pairwise_of_all_rows(probabilities, setting)),
    }


def joint_logits(network: AueCrl, inputs: Inputs) -> Tensor:
    """The whole network's logits BxC."""
    return network(inputs[0]).fused_logits


STAGE = Stage(
    "joint",
    ("backbone", "expression_branch", "action_unit_branch", "fusion"),
    image_inputs,
    joint_loss,
    "score",
    True,
    follows="expression",
    knowledge="odds",
    logits=joint_logits,
    keeps_stem=True,
    calibrated=True,
)
