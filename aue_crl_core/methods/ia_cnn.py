"""IA-CNN: one feature of the expression and one of the person, each taught by comparing faces in pairs; both decide.

Meng et al. draw pairs of pictures for a network in two copies. Here all pairs of a batch are compared, and the mean
over the pairs that belong together and that over the others weigh the same, because few faces of a batch show one
person. Features are compared at length 1, so that the margin means the same at any width. Only both features together
are classified. Margin and weights are choices made here: the paper's were not to be had.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.method import HeadOutput, Method, MethodBatch
from aue_crl_core.networks.layers import linear_bn_relu

MARGIN: Final = 1.0
"""How far apart (of at most 2) features of different classes or people are to be."""
EXPRESSION_WEIGHT: Final = 0.5
IDENTITY_WEIGHT: Final = 0.2


def contrastive_loss(features: Tensor, labels: Tensor, margin: float = MARGIN) -> Tensor:
    """Hadsell et al., CVPR 2006, over all pairs of rows: d^2 / 2 where labels are equal, else max(0, margin - d)^2 / 2.

    `features` BxD, `labels` int64 B (negative: unknown, in no pair). The result is a scalar: the mean over the pairs of
    equal labels plus that over the others, each 0 where there are none.
    """
    products = features @ features.T
    squared = (products.diagonal()[:, None] + products.diagonal() - 2 * products).clamp(min=0)
    distances = squared.clamp(min=torch.finfo(squared.dtype).eps).sqrt()
    known = labels >= 0
    pairs = (known[:, None] & known).triu(diagonal=1)
    equal = labels[:, None] == labels
    apart = F.relu(margin - distances).square()
    return (_mean_over(squared, pairs & equal) + _mean_over(apart, pairs & ~equal)) / 2


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


class IdentityAwareHead(nn.Module):
    """Two hidden layers on the mean of the last map; the classifier sees both; `extras["identity"]` is the second."""

    def __init__(self, config: ModelConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.expression = linear_bn_relu(channels[-1], config.feature_dim)
        self.identity = linear_bn_relu(channels[-1], config.feature_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * config.feature_dim, len(config.expressions))

    def forward(self, pyramid: tuple[Tensor, ...], points: Tensor, images: Tensor) -> HeadOutput:
        """See `Method.head`."""
        face = pyramid[-1].mean(dim=(2, 3))
        expression, identity = self.expression(face), self.identity(face)
        logits = self.classifier(self.dropout(torch.cat([expression, identity], dim=1)))
        return HeadOutput(logits, expression, {"identity": identity})


class IdentityAwareLoss(nn.Module):
    """The contrastive losses of the expression feature by expression, and of the identity feature by person."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def forward(self, output: HeadOutput, batch: MethodBatch) -> dict[str, Tensor]:
        """See `Method.criterion`."""
        expression, identity = (F.normalize(f, dim=1) for f in (output.feature, output.extras["identity"]))
        return {
            "same_expression": EXPRESSION_WEIGHT * contrastive_loss(expression, batch.label),
            "same_person": IDENTITY_WEIGHT * contrastive_loss(identity, batch.identity),
        }


METHOD = Method(
    "ia_cnn",
    "IA-CNN",
    "Meng et al., Identity-Aware Convolutional Neural Network for Facial Expression Recognition, FG 2017",
    IdentityAwareHead,
    IdentityAwareLoss,
    needs=frozenset({"identities"}),
)
