"""The head of methods that only add a loss."""

from __future__ import annotations

from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.method import HeadOutput


class PooledHead(nn.Module):
    """The mean of the last map, one hidden layer, a linear classifier; `feature` is BxF.

    Its features have both signs (PReLU), as in the networks of center and island loss: centres can be opposite.
    """

    def __init__(self, config: ModelConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels[-1], config.feature_dim, bias=False)
        self.norm = nn.BatchNorm1d(config.feature_dim)
        self.activation = nn.PReLU()
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.feature_dim, len(config.expressions))

    def forward(self, pyramid: tuple[Tensor, ...], points: Tensor, images: Tensor) -> HeadOutput:
        """See the class."""
        feature = self.activation(self.norm(self.hidden(pyramid[-1].mean(dim=(2, 3)))))
        return HeadOutput(self.classifier(self.dropout(feature)), feature, {})
