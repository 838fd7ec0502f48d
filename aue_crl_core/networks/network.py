"""What all networks here are: faces in, an expression out, with a landmark net of their own."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.errors import ImageError
from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.networks.landmark_net import LandmarkNet


class NetworkOutput(NamedTuple):
    """What the network says about a batch of B faces, all float32 (logits take autocast's type, if that is on).

    `expression_logits` and `fused_logits` BxC in label order, of the expression branch alone and of the whole network;
    `action_unit_probabilities` BxU in [0, 1] and `attention` BxU, rows with sum 1 (with `config.attention` "sigmoid"
    entries in [0.5, 1)), both in the order of `config.action_units`, U = 17, or 0 for a network that says nothing of
    action units; `points` Bx68x2 (x, y) in input pixels, iBUG order: those that the network was given or found;
    `intensities` BxI in [0, 5], in the order of `config.intensity_units`, I = 0 for a network that tells none.
    """

    expression_logits: Tensor
    fused_logits: Tensor
    action_unit_probabilities: Tensor
    attention: Tensor
    points: Tensor
    intensities: Tensor


class Correction(NamedTuple):
    """What makes a classifier's logits say what they mean: they are divided by `temperature`, then `bias` (float32 C,
    label order) is added."""

    temperature: float
    bias: Tensor


class FaceNetwork(nn.Module):
    """A network with a trunk `backbone` and a `landmark_net`; subclasses say what lies between.

    The landmark net is never trained with the others: it stays in evaluation mode and passes no gradient.
    """

    backbone: nn.Module
    landmark_net: LandmarkNet

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def train(self, mode: bool = True) -> FaceNetwork:
        """As `nn.Module.train`, but the landmark net stays in evaluation mode."""
        super().train(mode)
        self.landmark_net.eval()
        return self

    def correct_logits(self, expression: Correction, fused: Correction) -> None:
        """Both kinds of logits are corrected like this from now on."""
        raise NotImplementedError

    @torch.no_grad()
    def find_points(self, images: Tensor) -> Tensor:
        """Face points of the landmark net, float32 Bx68x2 (x, y) in input pixels, without gradient."""
        size, own_size = images.shape[-1], self.landmark_net.input_size
        if size == own_size:
            return self.landmark_net(images)[0]
        resized = F.interpolate(images, size=(own_size, own_size), mode="bilinear", align_corners=False)
        return (self.landmark_net(resized)[0] + 0.5) * (size / own_size) - 0.5

    def _check(self, images: Tensor, points: Tensor | None) -> None:
        if torch.jit.is_tracing():
            return
        size = self.config.preprocessing.input_size
        if images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise ImageError(f"images must be Bx3x{size}x{size} (config.preprocessing), got {tuple(images.shape)}")
        if points is not None and points.shape != (images.shape[0], NUM_POINTS, 2):
            raise ImageError(f"points must be {images.shape[0]}x{NUM_POINTS}x2, got {tuple(points.shape)}")
