"""What several methods' heads are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig


class JoinedMap(nn.Module):
    """The last two maps of a trunk as one at stride 16: pyramid -> BxDxHxW, at least 0.

    The papers' trunks end in maps of 7x7 to 14x14 cells; at stride 32 a crop of 96 pixels has 3x3.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels[-2] + channels[-1], width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, pyramid: tuple[Tensor, ...]) -> Tensor:
        """See the class."""
        coarse = F.interpolate(pyramid[-1], scale_factor=2.0, mode="nearest")
        return F.relu(self.norm(self.reduce(torch.cat([pyramid[-2], coarse], dim=1))))


class Decision(nn.Module):
    """One hidden layer and a linear classifier: BxV -> (logits BxC, feature BxF, at least 0)."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, config.feature_dim, bias=False)
        self.norm = nn.BatchNorm1d(config.feature_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.feature_dim, len(config.expressions))

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        feature = F.relu(self.norm(self.hidden(vectors)))
        return self.classifier(self.dropout(feature)), feature
