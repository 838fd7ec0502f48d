"""MRE-CNN: three small experts see the whole face and one region of it, and vote.

Fan, Lam & Li give each pair (face, left eye), (face, nose), (face, mouth) a CNN of its own and add their probabilities
with weights. Here the three share the trunk, regions are cut from its stride-8 map around the 68 points (not from the
picture), and experts and weights are trained together by the cross entropy of the vote. The size of the regions and the
width of the experts are choices made here.
"""

from __future__ import annotations

from typing import Final

import torch
import torchvision  # noqa: F401 (brings torch.ops.torchvision)
from torch import Tensor, nn

from aue_crl_core import facs
from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.method import HeadOutput, Method
from aue_crl_core.methods.parts import Decision
from aue_crl_core.networks.layers import conv_bn_relu

REGIONS: Final = {
    "left eye": (*range(22, 27), *facs.LEFT_EYE),
    "nose": tuple(range(27, 36)),
    "mouth": tuple(range(48, 68)),
}
"""Region -> its points (iBUG 68, 0-based); the eye, the subject's own left, with its brow."""

MARGIN: Final = 0.4
"""How much longer a region's side is than its points' extent."""
_SMALLEST: Final = 8.0
_STRIDE: Final = 8
_CELLS: Final = 6
_WIDTH: Final = 64
_SAMPLES: Final = 2


def region_boxes(points: Tensor) -> Tensor:
    """Squares around the regions, float32 BxRx4: x0, y0, x1, y1 in pixels, whole numbers on the pixels' edges.

    `points` float32 Bx68x2 in pixels, whole numbers in the pixels' middles.
    """
    boxes = []
    for indices in REGIONS.values():
        own = points[:, list(indices)]
        low, high = own.amin(dim=1), own.amax(dim=1)
        half = ((high - low).amax(dim=1, keepdim=True) * (1 + MARGIN)).clamp(min=_SMALLEST) / 2
        middle = (low + high) / 2 + 0.5
        boxes.append(torch.cat([middle - half, middle + half], dim=1))
    return torch.stack(boxes, dim=1)


def vote(logits: Tensor, scores: Tensor) -> Tensor:
    """Logits BxC of the weighted mean of the experts' probabilities: log sum_r w_r softmax(z_r), w = softmax(scores).

    `logits` BxRxC, `scores` R.
    """
    return torch.logsumexp(logits.log_softmax(dim=2) + scores.log_softmax(dim=0)[:, None], dim=1)


class Expert(nn.Module):
    """Crops BxDxKxK of one region and the whole face's vector BxV -> (logits BxC, feature BxF, at least 0)."""

    def __init__(self, region_channels: int, face_channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.region = nn.Sequential(conv_bn_relu(region_channels, _WIDTH), conv_bn_relu(_WIDTH, _WIDTH))
        self.decision = Decision(face_channels + _WIDTH, config)

    def forward(self, crops: Tensor, face: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        return self.decision(torch.cat([face, self.region(crops).mean(dim=(2, 3))], dim=1))


class RegionEnsemble(nn.Module):
    """The experts and their vote; `feature` is Bx3F, their features side by side."""

    def __init__(self, config: ModelConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Expert(channels[1], channels[-1], config) for _ in REGIONS)
        self.scores = nn.Parameter(torch.zeros(len(REGIONS)))

    def forward(self, pyramid: tuple[Tensor, ...], points: Tensor, images: Tensor) -> HeadOutput:
        """See `Method.head`."""
        face = pyramid[-1].mean(dim=(2, 3))
        crops = self._crops(pyramid[1], points)
        opinions, features = zip(
            *(expert(own, face) for expert, own in zip(self.experts, crops, strict=True)), strict=True
        )
        return HeadOutput(vote(torch.stack(opinions, dim=1).float(), self.scores), torch.cat(features, dim=1), {})

    def _crops(self, maps: Tensor, points: Tensor) -> tuple[Tensor, ...]:
        boxes = region_boxes(points.float())
        rows = torch.arange(points.shape[0], device=points.device, dtype=boxes.dtype)
        located = torch.cat([rows[:, None, None].expand(-1, len(REGIONS), 1), boxes], dim=2).flatten(0, 1)
        # the operator itself: the function before it checks shapes, which tracing warns of
        align = torch.ops.torchvision.roi_align
        crops = align(maps.float(), located, 1 / _STRIDE, _CELLS, _CELLS, _SAMPLES, True)
        return crops.unflatten(0, (-1, len(REGIONS))).unbind(dim=1)


METHOD = Method(
    "mre_cnn",
    "MRE-CNN",
    "Fan, Lam & Li, Multi-Region Ensemble Convolutional Neural Network for Facial Expression Recognition, ICANN 2018",
    RegionEnsemble,
    needs=frozenset({"points"}),
)
