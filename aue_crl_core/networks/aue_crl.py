"""AUE-CRL, composed of its parts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from aue_crl_core.config import ModelConfig
from aue_crl_core.knowledge import PriorOdds
from aue_crl_core.networks.action_unit_branch import ActionUnitBranch
from aue_crl_core.networks.backbone import build_backbone
from aue_crl_core.networks.expression_branch import ExpressionBranch
from aue_crl_core.networks.fusion import Fusion
from aue_crl_core.networks.landmark_net import LandmarkNet
from aue_crl_core.networks.network import Correction, FaceNetwork, NetworkOutput


class AueCrl(FaceNetwork):
    """The network of Pu et al., ICRA 2021, with its own landmark net."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.backbone = build_backbone(config)
        self.expression_branch = ExpressionBranch(
            self.backbone.channels, config.feature_dim, len(config.expressions), config.feature_rank
        )
        self.action_unit_branch = ActionUnitBranch(self.backbone.channels, config)
        self.prior_odds = PriorOdds(config.vocabulary) if config.knowledge == "odds" else None
        self.fusion = Fusion(config)
        self.landmark_net = LandmarkNet()
        self.landmark_net.eval()

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
        units = self.action_unit_branch(pyramid, points, feature)
        fused_logits, attention = self.fusion(feature, units.vectors)
        probabilities = self.unit_probabilities(units.logits, expression_logits)
        return NetworkOutput(expression_logits, fused_logits, probabilities, attention, points, units.intensities)

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
    def tell_intensities(self, units: tuple[int, ...], weight: Tensor, bias: Tensor) -> None:
        """From now on the intensity of these AUs (FACS codes, ascending) is 5 * sigmoid(`weight` float32 IxE of what
        the layer of `config.evidence_dim` units says + `bias` float32 I).

        Raises:
            ConfigError: a network that has no such layer (`config.knowledge` "targets"), or other codes.
        """
        self.config = replace(self.config, intensity_units=units)
        self.action_unit_branch.evidence.intensity_weight = weight
        self.action_unit_branch.evidence.intensity_bias = bias

    @torch.no_grad()
    def correct_logits(self, expression: Correction, fused: Correction) -> None:
        """See `FaceNetwork`: in the classifiers' weights, so that the network's form stays."""
        for part, correction in ((self.expression_branch, expression), (self.fusion, fused)):
            part.classifier.weight.div_(correction.temperature)
            part.classifier.bias.div_(correction.temperature).add_(correction.bias)
