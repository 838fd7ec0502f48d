"""The networks as engines run them: bytes in, probabilities out; pre-processing is part of the graph."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from aue_crl_core.config import Preprocessing
from aue_crl_core.networks.layers import GroupedLinear
from aue_crl_core.networks.network import FaceNetwork, NetworkOutput


class _Normalise(nn.Module):
    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 BxSxSx3 RGB -> float32 Bx3xSxS, normalised."""
        return images.permute(0, 3, 1, 2).float() * self.scale + self.shift


class DeployedExpressionNet(nn.Module):
    """Crops uint8 BxSxSx3 RGB and points float32 Bx68x2 (crop pixels) -> the float32 arrays of `EngineOutput`, the last
    of them (`intensities`) only from a network that tells some.
    """

    input_names = ("images", "points")

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.normalise = _Normalise(network.config.preprocessing)
        self.network = network
        told = ("intensities",) if network.config.intensity_units else ()
        self.output_names = ("probabilities", "expression_probabilities", "action_units", "attention", *told)

    def forward(self, images: Tensor, points: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return self.answers(self.network(self.normalise(images), points))

    def answers(self, out: NetworkOutput) -> tuple[Tensor, ...]:
        """What the network said, as the class gives it."""
        answers = (
            out.fused_logits.softmax(dim=1),
            out.expression_logits.softmax(dim=1),
            out.action_unit_probabilities,
            out.attention,
        )
        return (*answers, out.intensities) if self.network.config.intensity_units else answers


_IN_BFLOAT16: Final = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, GroupedLinear)


class InBfloat16(nn.Module):
    """A `DeployedExpressionNet` whose convolutions and products of matrices are computed in bfloat16, all else in
    float32: faster where the processor multiplies bfloat16 itself (AMX, AVX-512 BF16, Arm's bf16, CUDA).

    Same inputs and outputs. It changes the network that it is given, but for the landmark net, which stays as it is.
    """

    def __init__(self, deployed: DeployedExpressionNet) -> None:
        super().__init__()
        self.deployed = deployed
        for name, part in deployed.named_modules():
            if isinstance(part, _IN_BFLOAT16) and "landmark_net" not in name.split("."):
                part.to(torch.bfloat16)  # else autocast would do that at every call

    def forward(self, images: Tensor, points: Tensor) -> tuple[Tensor, ...]:
        """See `DeployedExpressionNet`."""
        inputs = self.deployed.normalise(images)
        with torch.autocast(images.device.type, torch.bfloat16):
            out = self.deployed.network(inputs, points)
        return self.deployed.answers(NetworkOutput(*(part.float() for part in out)))


class DeployedLandmarkNet(nn.Module):
    """Crops uint8 BxLxLx3 RGB -> `points` float32 Bx68x2 (crop pixels) and `scores` float32 B, the belief in a face."""

    input_names = ("images",)
    output_names = ("points", "scores")

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.normalise = _Normalise(network.config.preprocessing)
        self.landmark_net = network.landmark_net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        points, logits = self.landmark_net(self.normalise(images))
        return points, logits.sigmoid()
