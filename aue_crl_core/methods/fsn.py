"""FSN: feature maps are filtered by masks that they learn themselves, and by what of the picture is face.

Of the paper only the abstract could be read. The mask of a cell is here chosen as a learned sum over it and its
neighbours in the same map, and the face as an ellipse around the 68 points. The paper has its filter inside AlexNet;
here a head gets the trunk's maps when the trunk is done with them, so the last two are filtered, each by its own masks,
and both are seen by the decision.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.method import HeadOutput, Method
from aue_crl_core.methods.parts import Decision

STEEPNESS: Final = 4.0


def face_mask(points: Tensor, side: int, cells: int) -> Tensor:
    """How much each cell of a map over an image of `side` pixels is face: points Bx68x2 -> Bxcellsxcells in (0, 1).

    With d the squared Mahalanobis distance to the points' mean under their covariance and d_max that of the furthest
    point, sigmoid(4 (1 - d / d_max)): 0.98 in the middle, a half on the ellipse that holds all points. Points that are
    all in one place make a face of about a pixel.
    """
    centre = points.mean(dim=1, keepdim=True)
    x, y = (points - centre).unbind(2)
    xx, yy, xy = x.square().mean(dim=1) + 1, y.square().mean(dim=1) + 1, (x * y).mean(dim=1)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        a, b, c = (value[:, None] for value in (yy, xx, xy))
        return (a * x.square() + b * y.square() - 2 * c * x * y) / (a * b - c.square())

    place = (torch.arange(cells, device=points.device) + 0.5) * (side / cells) - 0.5
    column, row = place.repeat(cells), place.repeat_interleave(cells)
    furthest = distance(x, y).amax(dim=1, keepdim=True).clamp(min=1)
    nearness = 1 - distance(column - centre[:, :, 0], row - centre[:, :, 1]) / furthest
    return torch.sigmoid(STEEPNESS * nearness).unflatten(1, (cells, cells))


class FeatureSelection(nn.Module):
    """X -> X face sigmoid(K * (X face)): what each cell and its eight neighbours in the same map say of the cell.

    forward: maps BxCxHxW and face BxHxW in [0, 1] -> BxCxHxW.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.influence = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, maps: Tensor, face: Tensor) -> Tensor:
        """See the class."""
        inside = maps * face[:, None]
        return inside * torch.sigmoid(self.influence(inside))


class FeatureSelectionHead(nn.Module):
    """The last two maps, filtered, their means joined; see the module and `Method.head`."""

    def __init__(self, config: ModelConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.selections = nn.ModuleList(FeatureSelection(c) for c in channels[-2:])
        self.decision = Decision(sum(channels[-2:]), config)

    def forward(self, pyramid: tuple[Tensor, ...], points: Tensor, images: Tensor) -> HeadOutput:
        """See the class."""
        filtered = [
            select(maps, face_mask(points, images.shape[-1], maps.shape[-1]).to(maps.dtype)).mean(dim=(2, 3))
            for select, maps in zip(self.selections, pyramid[-2:], strict=True)
        ]
        return HeadOutput(*self.decision(torch.cat(filtered, dim=1)), {})


METHOD = Method(
    "fsn",
    "FSN",
    "Zhao et al., Feature Selection Mechanism in CNNs for Facial Expression Recognition, BMVC 2018",
    FeatureSelectionHead,
    needs=frozenset({"points"}),
)
