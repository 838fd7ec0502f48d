"""CP: covariance pooling of a map's channels, then a small network on the manifold of SPD matrices.

Constants are those of the authors' code: the covariance over the cells with lambda tr(C) I added, one BiMap to half the
size, ReEig at 1e-4, LogEig, a hidden layer. Simplified: 64 channels for 256, with four times the lambda, which is the
same share of the mean eigenvalue; BiMap is trained without Riemannian steps (see `BiMap`). 1e-4 I is added to the
covariance too. So a flat map has a logarithm, and ReEig has nothing to raise, as in the authors' code, where
lambda tr(C) is the larger: the exported network, which can take the logarithm alone, is the one that was trained.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.method import HeadOutput, Method
from aue_crl_core.methods.parts import Decision, JoinedMap
from aue_crl_core.methods.spd import BiMap, UpperTriangle, covariance, log_by_products, rectified_log

CHANNELS: Final = 64
SIDE: Final = 32
SHARE: Final = 4e-4
LEAST: Final = 1e-4


class CovariancePooling(nn.Module):
    """1x1 convolution, covariance, BiMap, ReEig, LogEig, upper triangle, decision; see `Method.head`."""

    def __init__(self, config: ModelConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.join = JoinedMap(channels, CHANNELS)
        self.bimap = BiMap(CHANNELS, SIDE)
        self.triangle = UpperTriangle(SIDE)
        self.decision = Decision(SIDE * (SIDE + 1) // 2, config)

    def forward(self, pyramid: tuple[Tensor, ...], points: Tensor, images: Tensor) -> HeadOutput:
        """See the class."""
        maps = self.join(pyramid)
        with torch.autocast(maps.device.type, enabled=False):
            matrices = self.bimap(covariance(maps.float(), SHARE, LEAST))
            if torch.onnx.is_in_onnx_export():
                logs = log_by_products(matrices, SHARE / 2)
            else:
                logs = rectified_log(matrices, LEAST)
            logits, feature = self.decision(self.triangle(logs))
        return HeadOutput(logits, feature, {})


METHOD = Method(
    "covariance_pooling",
    "CP",
    "Acharya et al., Covariance Pooling for Facial Expression Recognition, CVPR Workshops 2018",
    CovariancePooling,
)
