"""Stage EM: the backbone and the expression branch, by cross entropy."""

from __future__ import annotations

from torch import Tensor

from aue_crl_core.data.dataset import Sample
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.training.stages.stage import (
    FeatureBatch,
    Inputs,
    Losses,
    Setting,
    Stage,
    balanced_cross_entropy,
    image_inputs,
)


def expression_logits(network: AueCrl, inputs: Inputs) -> Tensor:
    """The expression branch's logits BxC of images (at any of the sizes that stage EM trains on)."""
    return network.expression_branch(network.backbone(inputs[0]))[1]


def expression_loss(network: AueCrl, inputs: Inputs, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """Stage EM: cross entropy of the expression branch."""
    return expression_loss_of_logits(expression_logits(network, inputs), batch, setting)


def expression_loss_of_logits(logits: Tensor, batch: Sample | FeatureBatch, setting: Setting) -> Losses:
    """The loss of stage EM from the expression branch's logits BxC."""
    return {"expression": balanced_cross_entropy(logits, batch.target, setting)}


STAGE = Stage(
    "expression",
    ("backbone", "expression_branch"),
    image_inputs,
    expression_loss,
    "score",
    True,
    logits=expression_logits,
    loss_of_logits=expression_loss_of_logits,
    any_size=True,
)
