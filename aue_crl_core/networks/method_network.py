"""A network of another method: its head on a trunk, an expression and nothing of action units."""

from __future__ import annotations

import torch
from torch import Tensor

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.method import HeadOutput, Method
from aue_crl_core.networks.backbone import build_backbone
from aue_crl_core.networks.landmark_net import LandmarkNet
from aue_crl_core.networks.layers import Luminance
from aue_crl_core.networks.network import Correction, FaceNetwork, NetworkOutput


class MethodNetwork(FaceNetwork):
    """A trunk and a method's head. Both kinds of logits are the same, and its outputs of action units have width 0."""

    def __init__(self, config: ModelConfig, method: Method) -> None:
        super().__init__(config)
        self.method = method
        self.backbone = build_backbone(config) if method.whole is None else method.whole(config)
        self.head = method.head(config, self.backbone.channels)
        self.luminance = Luminance() if method.input == "grey" else None
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("bias", torch.zeros(len(config.expressions)))
        self.landmark_net = LandmarkNet()
        self.landmark_net.eval()

    def forward(self, images: Tensor, points: Tensor | None = None) -> NetworkOutput:
        """The expression of B face crops; arguments and errors as `AueCrl.forward`."""
        self._check(images, points)
        if points is None:
            points = self.find_points(images)
        logits = self.head_output(images, points).logits / self.temperature + self.bias
        nothing = logits[:, :0]
        return NetworkOutput(logits, logits, nothing, nothing, points, nothing)

    def head_output(self, images: Tensor, points: Tensor) -> HeadOutput:
        """All that the method's loss needs of images (at any of the sizes that training uses) and their points."""
        if self.luminance is not None:
            images = self.luminance(images)
        return self.head(self.backbone(images), points, images)

    def correct_logits(self, expression: Correction, fused: Correction) -> None:
        """See `FaceNetwork`; the two are the same here."""
        self.temperature.mul_(fused.temperature)
        self.bias.div_(fused.temperature).add_(fused.bias)
