"""The centre of each class, learned beside the network with a rate of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassCentres(nn.Module):
    """`centres` float32 CxD, which follow the features of their class while training (Wen et al., ECCV 2016).

    For class j with n_j rows in the batch: c_j <- c_j - rate (sum over its rows of (c_j - x_i) / (1 + n_j) + push_j).
    They begin at random; that of a class without rows stays, but for `push`.
    """

    def __init__(self, classes: int, width: int, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("centres", torch.randn(classes, width))

    def compactness(self, feature: Tensor, label: Tensor) -> Tensor:
        """The centre loss: half the squared distance of features BxD to their classes' centres, mean over the rows."""
        return (feature.float() - self.centres[label]).square().sum(dim=1).mean() / 2

    @torch.no_grad()
    def follow(self, feature: Tensor, label: Tensor, push: Tensor | float = 0.0) -> None:
        """One step towards features BxD with labels B, and against `push` CxD."""
        members = F.one_hot(label, len(self.centres)).float()
        counts = members.sum(dim=0)[:, None]
        away = counts * self.centres - members.T @ feature.float()
        self.centres -= self.rate * (away / (1 + counts) + push)
