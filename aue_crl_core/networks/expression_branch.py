"""The expression branch: the whole pyramid, pooled to one map, becomes one feature and one decision."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.networks.backbone import Pyramid
from aue_crl_core.networks.layers import NeighbourNorm, conv_bn_relu


class ExpressionBranch(nn.Module):
    """Multi-scale expression feature and its classifier (paper, section III-B).

    forward: `Pyramid` -> (feature float32 BxF, at least 0; logits float32 BxC, in label order).
    """

    def __init__(
        self, channels: tuple[int, int, int, int], feature_dim: int, classes: int, rank: int | None = None
    ) -> None:
        super().__init__()
        self.norm = NeighbourNorm()
        self.reduce = conv_bn_relu(sum(channels), feature_dim, rank=rank)
        self.classifier = nn.Linear(feature_dim, classes)

    def forward(self, pyramid: Pyramid) -> tuple[Tensor, Tensor]:
        """See the class."""
        c2, c3, c4, c5 = pyramid
        scales = torch.cat([F.max_pool2d(c2, 8), F.max_pool2d(c3, 4), F.max_pool2d(c4, 2), c5], dim=1)
        feature = self.reduce(self.norm(scales)).mean(dim=(2, 3))
        return feature, self.classifier(feature)
