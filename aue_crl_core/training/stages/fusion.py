"""Stage Fuse: the fusion and both expression classifiers, by cross entropy and the knowledge on the attention."""

from __future__ import annotations

from torch import Tensor

from aue_crl_core.config import ModelConfig
from aue_crl_core.data.dataset import Sample
from aue_crl_core.networks.action_unit_branch import NUM_UNITS, SIDES
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training.stages.stage import (
    FeatureBatch,
    Inputs,
    Losses,
    Setting,
    Stage,
    balanced_cross_entropy,
    pairwise_of_all_rows,
    sample_points,
)


def fusion_inputs(network: AueCrl, images: Tensor, sample: Sample) -> Inputs:
    """Expression feature BxF and region vectors Bx17x2xV: all that the last stage sees of an image."""
    pyramid = network.backbone(images)
    feature, _ = network.expression_branch(pyramid)
    vectors = network.action_unit_branch(pyramid, sample_points(network, images, sample), feature).vectors
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
        "pairwise": 0.05 * pairwise_of_all_rows(attention, setting),
    }


def fused_logits(network: AueCrl, inputs: Inputs) -> Tensor:
    """The whole network's logits BxC of `fusion_inputs`."""
    return network.fusion(*inputs)[0]


STAGE = Stage(
    "fusion",
    ("fusion", "expression_branch.classifier"),
    fusion_inputs,
    fusion_loss,
    "score",
    True,
    follows="action_unit",
    logits=fused_logits,
    input_shapes=fusion_input_shapes,
    calibrated=True,
)
