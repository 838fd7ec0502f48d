"""DLP-CNN: each feature is drawn to its nearest neighbours of the same class, not to the class's centre.

The paper sums over the rows of a batch and says nothing of its size; here it is their mean. Neighbours are searched in
the batch, as in the paper.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.heads import PooledHead
from aue_crl_core.methods.method import HeadOutput, Method, MethodBatch

WEIGHT: Final = 0.003
NEIGHBOURS: Final = 20
"""Lambda and k of the paper (RAF-DB, basic expressions)."""


@torch.no_grad()
def neighbour_means(feature: Tensor, label: Tensor, neighbours: int) -> Tensor:
    """Of each row of features BxD the mean of its `neighbours` nearest others of the same class, BxD.

    Where the batch has fewer, of all that there are; a row that is alone is its own mean.
    """
    alone = torch.eye(len(label), dtype=torch.bool, device=label.device)
    others = (label[:, None] == label) & ~alone
    distances = torch.cdist(feature, feature).masked_fill(~others, torch.inf)
    nearest, rows = distances.topk(min(neighbours, len(label)), largest=False)
    found = nearest.isfinite()
    sums = (feature[rows] * found[:, :, None]).sum(dim=1)
    count = found.sum(dim=1, keepdim=True)
    return torch.where(count > 0, sums / count.clamp(min=1), feature)


def locality(feature: Tensor, means: Tensor) -> Tensor:
    """Half the squared distance of features BxD to `means` BxD, mean over the rows."""
    return (feature - means).square().sum(dim=1).mean() / 2


class LocalityPreservingLoss(nn.Module):
    """lambda / 2 ||x_i - mean of its k nearest x of class y_i||^2; as in the paper, the means pass no gradient."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def forward(self, output: HeadOutput, batch: MethodBatch) -> dict[str, Tensor]:
        """See the class."""
        feature = output.feature.float()
        return {"locality": WEIGHT * locality(feature, neighbour_means(feature, batch.label, NEIGHBOURS))}


METHOD = Method(
    "dlp_cnn",
    "DLP-CNN",
    "Li, Deng and Du, Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the "
    "Wild, CVPR 2017",
    PooledHead,
    LocalityPreservingLoss,
)
