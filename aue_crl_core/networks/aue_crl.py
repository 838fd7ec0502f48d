"""AUE-CRL, composed of its parts."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.errors import ImageError
from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.knowledge import PriorOdds
from aue_crl_core.networks.action_unit_branch import ActionUnitBranch
from aue_crl_core.networks.backbone import build_backbone
from aue_crl_core.networks.expression_branch import ExpressionBranch
from aue_crl_core.networks.fusion import Fusion
from aue_crl_core.networks.landmark_net import LandmarkNet


class NetworkOutput(NamedTuple):
    """What the network says about a batch of B faces, all float32 (logits take autocast's type, if that is on).

    `expression_logits` and `fused_logits` BxC in label order, of the expression branch alone and of the whole network;
    `action_unit_probabilities` Bx17 in [0, 1] and `attention` Bx17, rows with sum 1 (with `config.attention` "sigmoid"
    entries in [0.5, 1)), both in the order of `facs.ACTION_UNITS`; `points` Bx68x2 (x, y) in input pixels, iBUG order:
    those that the regions were cut around.
    """

    expression_logits: Tensor
    fused_logits: Tensor
    action_unit_probabilities: Tensor
    attention: Tensor
    points: Tensor


class AueCrl(nn.Module):
    """The network of Pu et al., ICRA 2021, with its own landmark net.

    The landmark net is never trained here: it stays in evaluation mode and passes no gradient.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        self.expression_branch = ExpressionBranch(self.backbone.channels, config.feature_dim, len(config.expressions))
        self.action_unit_branch = ActionUnitBranch(self.backbone.channels, config)
        self.prior_odds = PriorOdds(config.vocabulary) if config.knowledge == "odds" else None
        self.fusion = Fusion(config)
        self.landmark_net = LandmarkNet()
        self.landmark_net.eval()

    def train(self, mode: bool = True) -> AueCrl:
        """As `nn.Module.train`, but the landmark net stays in evaluation mode."""
        super().train(mode)
        self.landmark_net.eval()
        return self

    def forward(self, images: Tensor, points: Tensor | None = None) -> NetworkOutput:
        """Expression, action units and attention of B face crops.

        `images` float32 Bx3xSxS, normalised RGB, S = `config.preprocessing.input_size`; `points` float32 Bx68x2
        (x, y) in input pixels, iBUG order, or None for the landmark net's own.

        Raises:
            ImageError: images or points of another shape.
        """
        self._check(images, points)
        if points is None:
            points = self.find_points(images)
        pyramid = self.backbone(images)
        feature, expression_logits = self.expression_branch(pyramid)
        unit_logits, vectors = self.action_unit_branch(pyramid, points, feature)
        fused_logits, attention = self.fusion(feature, vectors)
        probabilities = self.unit_probabilities(unit_logits, expression_logits)
        return NetworkOutput(expression_logits, fused_logits, probabilities, attention, points)

    def unit_probabilities(self, unit_logits: Tensor, expression_logits: Tensor) -> Tensor:
        """AU probabilities float32 Bx17 of the action unit branch's logits; with `config.knowledge` "odds" the prior
        under the expression branch's belief is added to them."""
        if self.prior_odds is None:
            return torch.sigmoid(unit_logits)
        return torch.sigmoid(unit_logits + self.prior_odds(expression_logits.float().softmax(dim=1)))

    def expression_only(self, images: Tensor) -> Tensor:
        """The expression branch's logits, float32 BxC, without face points: the path that stage one trains."""
        self._check(images, None)
        return self.expression_branch(self.backbone(images))[1]

    @torch.no_grad()
    def find_points(self, images: Tensor) -> Tensor:
        """Face points of the landmark net, float32 Bx68x2 (x, y) in input pixels, without gradient."""
        size, own_size = self.config.preprocessing.input_size, self.landmark_net.input_size
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


def build_network(config: ModelConfig) -> AueCrl:
    """The network that `config` describes, in training mode, with random weights and a random landmark net."""
    return AueCrl(config)
