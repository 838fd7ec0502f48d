"""WSLGRN: attention maps from the expression labels alone cut local features out of a map; a relation unit weighs them
and the global one before they are joined.

Of the paper only the abstract could be read, so the details are chosen: bilinear attention pooling as Hu et al. (See
Better Before Looking Closer, 2019) write it, which the paper builds on; gates from the pairwise relations of all
features (Santoro et al., NeurIPS 2017); as contrastive terms the contrastive-center loss (Qi and Su, ICIP 2017), for
each feature with its own centres, which are trained like the network, and weight 1, since it is a ratio. Attention
dropping and a second look at a cut-out region, as Hu et al. have them, are left out.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.method import HeadOutput, Method, MethodBatch
from aue_crl_core.methods.parts import Decision, JoinedMap

MAPS: Final = 6
WIDTH: Final = 128
RELATION: Final = 64
WEIGHT: Final = 1.0


def attention_pooling(maps: Tensor, attention: Tensor) -> Tensor:
    """f_k = mean over the cells of a_k F: maps F BxDxHxW and attention BxMxHxW -> BxMxD."""
    cells = maps.flatten(2)
    return attention.flatten(2) @ cells.transpose(1, 2) / cells.shape[2]


class RelationGates(nn.Module):
    """How much each of N features counts, by its relation to all of them: BxNxD -> BxN in (0, 1).

    g_i = sigmoid(mean over j of v . relu(P f_i + Q f_j)).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, hidden)
        self.other = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        relations = F.relu(self.own(features)[:, :, None] + self.other(features)[:, None])
        return torch.sigmoid(self.score(relations.mean(dim=2)).squeeze(2))


class LocalGlobalHead(nn.Module):
    """See the module and `Method.head`; extras `parts` are the features Bx(1+M)xD, the global one first."""

    def __init__(self, config: ModelConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.join = JoinedMap(channels, WIDTH)
        self.attention = nn.Sequential(nn.Conv2d(WIDTH, MAPS, 1, bias=False), nn.BatchNorm2d(MAPS), nn.ReLU())
        self.norm = nn.BatchNorm1d((1 + MAPS) * WIDTH)
        self.gates = RelationGates(WIDTH, RELATION)
        self.decision = Decision((1 + MAPS) * WIDTH, config)

    def forward(self, pyramid: tuple[Tensor, ...], points: Tensor, images: Tensor) -> HeadOutput:
        """See the class."""
        maps = self.join(pyramid)
        whole = maps.mean(dim=(2, 3))[:, None]
        parts = torch.cat([whole, attention_pooling(maps, self.attention(maps))], dim=1)
        parts = self.norm(parts.flatten(1)).unflatten(1, (1 + MAPS, WIDTH))
        logits, feature = self.decision((self.gates(parts)[:, :, None] * parts).flatten(1))
        return HeadOutput(logits, feature, {"parts": parts})


def contrastive_center(features: Tensor, centres: Tensor, label: Tensor) -> Tensor:
    """1/2 ||x - c_y||^2 / (sum over the other classes of ||x - c_j||^2 + 1), mean over the rows: one value a part.

    `features` BxNxD, `centres` NxCxD, `label` int64 B; the result is N long.
    """
    distances = (features[:, :, None] - centres).square().sum(dim=3)
    own = distances.gather(2, label[:, None, None].expand(-1, features.shape[1], 1)).squeeze(2)
    return (own / (distances.sum(dim=2) - own + 1)).mean(dim=0) / 2


class LocalGlobalLoss(nn.Module):
    """lambda times the contrastive term of the global feature, and times the mean of the local ones'."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(1 + MAPS, len(config.expressions), WIDTH))

    def forward(self, output: HeadOutput, batch: MethodBatch) -> dict[str, Tensor]:
        """See the class."""
        terms = WEIGHT * contrastive_center(output.extras["parts"].float(), self.centres, batch.label)
        return {"contrast_global": terms[0], "contrast_local": terms[1:].mean()}


METHOD = Method(
    "wslgrn",
    "WSLGRN",
    "Zhang et al., Weakly Supervised Local-Global Relation Network for Facial Expression Recognition, IJCAI 2020",
    LocalGlobalHead,
    LocalGlobalLoss,
)
