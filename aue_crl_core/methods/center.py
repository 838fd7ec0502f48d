"""Center loss: features of a class are drawn to its centre."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.centres import ClassCentres
from aue_crl_core.methods.heads import PooledHead
from aue_crl_core.methods.method import HeadOutput, Method, MethodBatch

WEIGHT: Final = 0.01
"""Lambda: that of the island loss, so that the two differ by the islands alone (Wen et al. take 0.003 for faces)."""


class CenterLoss(nn.Module):
    """lambda / 2 ||x_i - c_(y_i)||^2, mean over the rows."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.centres = ClassCentres(len(config.expressions), config.feature_dim)

    def forward(self, output: HeadOutput, batch: MethodBatch) -> dict[str, Tensor]:
        """See the class."""
        loss = self.centres.compactness(output.feature, batch.label)
        if self.training:
            self.centres.follow(output.feature, batch.label)
        return {"center": WEIGHT * loss}


METHOD = Method(
    "center",
    "Center loss",
    "Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV 2016",
    PooledHead,
    CenterLoss,
)
