"""The small parts that several branches share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1, rank: int | None = None) -> nn.Sequential:
    """A bias-free 3x3 convolution, batch normalisation, ReLU: BxIxHxW -> BxOx(H/stride)x(W/stride).

    With `rank` the convolution has so many outputs, and a 1x1 convolution makes O of them.
    """
    convolutions = [nn.Conv2d(inputs, rank or outputs, 3, stride=stride, padding=1, bias=False)]
    if rank is not None:
        convolutions.append(nn.Conv2d(rank, outputs, 1, bias=False))
    return nn.Sequential(*convolutions, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def linear_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """A bias-free linear layer, batch normalisation, ReLU: BxI -> BxO."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


def deconv_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """A bias-free 4x4 stride-2 deconvolution, batch normalisation, ReLU: BxIxHxW -> BxOx2Hx2W."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class NeighbourNorm(nn.Module):
    """Local response normalisation over a channel and the one before it: x / (1 + 1e-4 (x[c]^2 + x[c-1]^2))^0.75.

    The authors' form, which multiplies by the window's sum; it equals `nn.LocalResponseNorm(2, alpha=2e-4)`, because
    torch divides by the window's size (REFERENCE, Q6). Written out, it exports to ONNX with a dynamic batch: ONNX's own
    LRN pairs a channel with the one after it. BxCxHxW, any range, shape kept.
    """

    alpha = 1e-4

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        squares = maps.float().square()
        sums = torch.cat([squares[:, :1], squares[:, 1:] + squares[:, :-1]], dim=1)
        root = (1 + self.alpha * sums).sqrt()
        return maps / (root * root.sqrt()).to(maps.dtype)


class Luminance(nn.Module):
    """Grey for colour: Bx3xHxW normalised RGB -> the same, each channel the luminance (ITU-R BT.601).

    A picture's colour tells the camera and the archive it came from, not the face; a network that can't see it can't
    learn it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return (images * self.weights).sum(dim=1, keepdim=True).expand_as(images)


class GroupedLinear(nn.Module):
    """One linear layer per group, all at once: BxGxI -> BxGxO.

    `weight` is GxIxO and `bias` GxO, with the initialisation of `nn.Linear`.
    """

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(groups, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(groups, outputs))
        bound = 1 / math.sqrt(inputs)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, inputs: Tensor) -> Tensor:
        """See the class."""
        return torch.matmul(inputs.transpose(0, 1), self.weight).transpose(0, 1) + self.bias
