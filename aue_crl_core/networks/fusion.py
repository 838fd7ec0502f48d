"""Knowledge-constrained fusion: the expression asks, each action unit answers, their agreement is the attention."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.networks.action_unit_branch import NUM_UNITS, SIDES
from aue_crl_core.networks.layers import GroupedLinear


class Fusion(nn.Module):
    """Attention over the AUs and the fused expression decision (paper, section III-D).

    Each AU has its own projection and its own batch normalisation, with statistics over the samples of a batch alone.
    forward: feature float32 BxF and region vectors float32 Bx17x2xV -> (logits float32 BxC, in label order;
    attention float32 Bx17, each row at least 0 with sum 1; with `config.attention` "sigmoid" each entry in [0.5, 1)).
    In training B must be at least 2.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        unit_dim, width = SIDES * config.region_dim, config.fusion_dim
        self.unit_dim, self.width = unit_dim, width
        self.upstream_region_order = config.upstream_region_order
        self.weigh = torch.sigmoid if config.attention == "sigmoid" else partial(torch.softmax, dim=1)
        self.dropout = nn.Dropout(config.dropout)
        self.unit_linear = GroupedLinear(NUM_UNITS, unit_dim, width)
        self.unit_norm = nn.BatchNorm1d(NUM_UNITS * width)
        self.expression_linear = nn.Linear(config.feature_dim, width)
        self.expression_norm = nn.BatchNorm1d(width)
        self.score = nn.Linear(width, 1)
        self.classifier = nn.Linear(config.feature_dim + unit_dim, len(config.expressions))

    def pair(self, vectors: Tensor) -> Tensor:
        """Region vectors Bx17x2xV -> one vector per AU, Bx17x2V: its two sides one after the other.

        With `upstream_region_order` the 34 vectors, which lie in the order (AU, side), are read as (side, AU), so that
        AU i gets the i-th and the (17 + i)-th (REFERENCE, Q1).
        """
        if self.upstream_region_order:
            vectors = vectors.flatten(1, 2).unflatten(1, (SIDES, NUM_UNITS)).transpose(1, 2)
        return vectors.reshape(-1, NUM_UNITS, self.unit_dim)

    def forward(self, feature: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        units = self.pair(vectors)
        answers = self.unit_norm(self.unit_linear(self.dropout(units)).flatten(1)).reshape(-1, NUM_UNITS, self.width)
        question = self.expression_norm(self.expression_linear(self.dropout(feature)))
        agreement = F.relu(self.score(answers.tanh() * question.tanh()[:, None]))
        attention = self.weigh(agreement.squeeze(2).float())
        attended = (attention[:, :, None] * units).sum(dim=1)
        return self.classifier(torch.cat([feature, attended], dim=1)), attention
