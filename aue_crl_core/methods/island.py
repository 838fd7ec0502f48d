"""Island loss: features are drawn to their class's centre, and the centres turn away from each other."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.centres import ClassCentres
from aue_crl_core.methods.heads import PooledHead
from aue_crl_core.methods.method import HeadOutput, Method, MethodBatch

WEIGHT: Final = 0.01
ISLANDS: Final = 10.0
"""Lambda and lambda_1 of the paper."""


def islands(centres: Tensor) -> Tensor:
    """The sum over ordered pairs of classes of cos(c_j, c_k) + 1, at least 0; `centres` CxD."""
    unit = F.normalize(centres, dim=1)
    cosines = unit @ unit.T
    return (cosines + 1).sum() - (cosines + 1).diagonal().sum()


class IslandLoss(nn.Module):
    """lambda (1/2 ||x_i - c_(y_i)||^2, mean over the rows, + lambda_1 times `islands` of the centres).

    The second term reaches the network through the centres only: each follows the gradient of its own cosines, over
    C - 1 as in the paper, with the rate that it follows the features with.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.centres = ClassCentres(len(config.expressions), config.feature_dim)

    def forward(self, output: HeadOutput, batch: MethodBatch) -> dict[str, Tensor]:
        """See the class."""
        compact = self.centres.compactness(output.feature, batch.label)
        with torch.enable_grad():
            centres = self.centres.centres.detach().requires_grad_()
            apart = islands(centres)
            (gradient,) = torch.autograd.grad(apart, centres)
        if self.training:
            self.centres.follow(output.feature, batch.label, ISLANDS / (len(centres) - 1) * gradient / 2)
        return {"center": WEIGHT * compact, "island": WEIGHT * ISLANDS * apart.detach()}


METHOD = Method(
    "island",
    "IL",
    "Cai et al., Island Loss for Learning Discriminative Features in Facial Expression Recognition, FG 2018",
    PooledHead,
    IslandLoss,
)
