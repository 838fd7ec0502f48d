"""The same network in fewer and better filled operations, for a graph that is only run.

Nothing is rounded anew: each part keeps its weights as they are and makes those of the folded operation from them, so
that a graph of halved weights holds these, and the runtime folds them once, on loading.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.backbone import MobileNetBackbone
from aue_crl_core.networks.landmark_net import LandmarkNet
from aue_crl_core.networks.layers import GroupedLinear, Luminance
from aue_crl_core.networks.network import FaceNetwork

_LANES: Final = 16
"""So many numbers does a processor multiply at once (AVX-512): a group of a convolution has as many outputs at best."""


def fold(network: FaceNetwork) -> FaceNetwork:
    """Put `network` into evaluation mode and change it in place, for good: it computes the same (to rounding), can't be
    trained, and its parameters have other names. Returns it."""
    network.eval().requires_grad_(False)
    _see_colours(network.landmark_net)
    if isinstance(network.backbone, MobileNetBackbone):
        _see_colours(network.backbone)
    if isinstance(network, AueCrl):
        branch, fusion = network.action_unit_branch, network.fusion
        if JoinedGroups.would_fill(branch.region_conv):
            branch.region_conv = JoinedGroups(branch.region_conv)
        fusion.unit_linear = NormalisedLinear(fusion.unit_linear, fusion.unit_norm)
        fusion.expression_linear = NormalisedLinear(fusion.expression_linear, fusion.expression_norm)
        fusion.unit_norm = fusion.expression_norm = nn.Identity()
    return network


def _see_colours(part: MobileNetBackbone | LandmarkNet) -> None:
    part.features[0][0] = LuminanceConv(part.luminance, part.features[0][0])
    part.luminance = nn.Identity()


class JoinedGroups(nn.Module):
    """A grouped convolution whose neighbouring groups are joined to ones of 16 outputs, with zeros between them.

    More multiplications in less time: onnxruntime has a kernel for groups that fill a register, and makes a matrix
    of every window for those that do not. On AVX-512 the convolution of the regions of `edge` takes 0.4 of its time; on
    AVX2, whose registers eight outputs fill, 1.3. forward: as `conv`, BxIxHxW -> BxOxHxW.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.joined = _LANES // (conv.out_channels // conv.groups)
        self.register_buffer("apart", torch.eye(self.joined).view(1, self.joined, 1, self.joined, 1, 1, 1))

    @staticmethod
    def would_fill(conv: nn.Conv2d) -> bool:
        """Whether some of its groups together have 16 outputs."""
        outputs = conv.out_channels // conv.groups
        return outputs < _LANES and _LANES % outputs == 0 and conv.groups % (_LANES // outputs) == 0

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        outputs, inputs, *kernel = self.conv.weight.shape
        groups = self.conv.groups // self.joined
        weight = self.conv.weight.view(groups, self.joined, outputs // self.conv.groups, 1, inputs, *kernel)
        weight = (weight * self.apart).view(outputs, self.joined * inputs, *kernel)
        return F.conv2d(maps, weight, self.conv.bias, self.conv.stride, self.conv.padding, groups=groups)


class NormalisedLinear(nn.Module):
    """A linear layer and the batch normalisation after it as one linear layer.

    forward: BxI -> BxO of `nn.Linear`, BxGxI -> BxGxO of `GroupedLinear`, whose outputs are normalised as BxGO.
    """

    def __init__(self, linear: nn.Linear | GroupedLinear, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        self.linear, self.norm = linear, norm

    def forward(self, inputs: Tensor) -> Tensor:
        """See the class."""
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        bias = (self.linear.bias.flatten() - self.norm.running_mean) * scale + self.norm.bias
        if isinstance(self.linear, nn.Linear):
            return F.linear(inputs, self.linear.weight * scale[:, None], bias)
        groups, _, outputs = self.linear.weight.shape
        weight = self.linear.weight * scale.view(groups, 1, outputs)
        return torch.matmul(inputs.transpose(0, 1), weight).transpose(0, 1) + bias.view(groups, outputs)


class LuminanceConv(nn.Module):
    """The first convolution on colours, with weights that make them grey: Bx3xHxW -> BxOxH/sxW/s."""

    def __init__(self, luminance: Luminance, conv: nn.Conv2d) -> None:
        super().__init__()
        self.luminance, self.conv = luminance, conv

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        weight = self.conv.weight.sum(dim=1, keepdim=True) * self.luminance.weights
        return F.conv2d(images, weight, None, self.conv.stride, self.conv.padding)
