"""A small net that finds the 68 face points, so that action unit regions can be placed on a live robot."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from torch import Tensor, nn

from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.networks.layers import Luminance


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class LandmarkNet(nn.Module):
    """Face points and face score by direct regression.

    forward: images float32 Bx3x96x96, normalised RGB -> (points float32 Bx68x2, (x, y) in input pixels, iBUG order,
    pixel centres at whole numbers; face logit float32 B, positive where the crop shows a face).
    """

    input_size: Final = 96

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 96, 128)
        stages = [_conv(3, widths[0], stride=2)]
        for inputs, outputs in pairwise(widths):
            stages += [_conv(inputs, outputs, stride=2), _conv(outputs, outputs)]
        self.features = nn.Sequential(*stages)
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 9, 256), nn.ReLU(inplace=True))
        self.points = nn.Linear(256, NUM_POINTS * 2)
        self.face = nn.Linear(256, 1)
        self.luminance = Luminance()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class: Bx3x96x96 -> (Bx68x2 pixels, B logits)."""
        hidden = self.hidden(self.features(self.luminance(images)))
        centre = (self.input_size - 1) / 2
        points = self.points(hidden).float().reshape(-1, NUM_POINTS, 2) * (self.input_size / 2) + centre
        return points, self.face(hidden).squeeze(1)
