"""Stage expression of another method: its trunk and head, by cross entropy and what the method adds to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.data.dataset import Sample
from aue_crl_core.methods import METHODS, HeadOutput, MethodBatch
from aue_crl_core.networks.method_network import MethodNetwork
from aue_crl_core.training.stages.expression import expression_loss_of_logits
from aue_crl_core.training.stages.stage import Inputs, Losses, Setting, Stage, sample_points


def method_inputs(network: MethodNetwork, images: Tensor, sample: Sample) -> Inputs:
    """The images, and the face points: those of the landmark net are found for methods that look at points only."""
    return images, sample_points(network, images, sample) if "points" in network.method.needs else sample.points


def method_logits(network: MethodNetwork, inputs: Inputs) -> Tensor:
    """The network's logits BxC."""
    return network.head_output(*inputs).logits


def method_loss(network: MethodNetwork, inputs: Inputs, batch: Sample, setting: Setting) -> Losses:
    """Cross entropy and the terms of the method's criterion, which sees the rows of all processes, in float32."""
    output = network.head_output(*inputs)
    losses = expression_loss_of_logits(output.logits, batch, setting)
    if network.method.criterion is None:
        return losses
    rows = setting.processes.gather_rows
    extras = {name: rows(value.float()) for name, value in output.extras.items()}
    whole = HeadOutput(rows(output.logits.float()), rows(output.feature.float()), extras)
    target, points, known = rows(batch.target), rows(inputs[1]), rows(batch.has_points.byte()).bool()
    with torch.autocast(target.device.type, enabled=False):
        added = setting.criterion(whole, MethodBatch(target, target.argmax(1), rows(batch.identity), points, known))
    return losses | added


def criterion(config: ModelConfig) -> nn.Module:
    """What a method adds to cross entropy; a module that does nothing where that is nothing."""
    make = METHODS[config.method].criterion
    return nn.Identity() if make is None else make(config)


STAGE = Stage(
    "expression",
    ("backbone", "head"),
    method_inputs,
    method_loss,
    "score",
    True,
    logits=method_logits,
    loss_of_logits=expression_loss_of_logits,
    any_size=True,
    calibrated=True,
    criterion=criterion,
)
