"""Convolutional trunks: an image becomes a pyramid of four maps at strides 4, 8, 16 and 32."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal

import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from aue_crl_core.config import ModelConfig
from aue_crl_core.networks.layers import Luminance, conv_bn_relu

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]
"""C2..C5: BxCixHxW float32 at strides 4, 8, 16, 32."""

Channels = tuple[int, int, int, int]

_STRIDES: Final = (4, 8, 16, 32)
_DEPTHS: Final[dict[str, Literal[18, 50, 101]]] = {"resnet18": 18, "resnet50": 50, "resnet101": 101}
_CHANNELS: Final[dict[str, Channels]] = {
    "edge": (64, 112, 176, 256),
    "mobilenet_v2": (24, 32, 96, 320),
    "resnet18": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
    "resnet101": (256, 512, 1024, 2048),
}


class ResNetBackbone(nn.Module):
    """torchvision's ResNet without its classifier; its parameters keep torchvision's names.

    forward: images float32 Bx3xHxW, normalised RGB, H and W multiples of 32 -> `Pyramid` with `channels`.
    Weights start random: nothing is downloaded.
    """

    def __init__(self, depth: Literal[18, 50, 101]) -> None:
        super().__init__()
        name = f"resnet{depth}"
        self.channels = _CHANNELS[name]
        net = getattr(torchvision.models, name)(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4

    def stem_modules(self) -> tuple[nn.Module, ...]:
        """All that makes the stride-4 map."""
        return self.conv1, self.bn1, self.layer1

    def forward(self, images: Tensor) -> Pyramid:
        """See the class."""
        c2 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(images)))))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


class MobileNetBackbone(nn.Module):
    """torchvision's MobileNetV2 (Sandler et al., CVPR 2018) up to its last block; parameters keep torchvision's names.

    It sees the luminance only (see `Luminance`). `top`: channels of the last map, instead of 320.
    forward: images float32 Bx3xHxW, normalised RGB, H and W multiples of 32 -> `Pyramid` with `channels`.
    Weights start random: nothing is downloaded.
    """

    _ENDS: Final = (4, 7, 14, 18)
    _BLOCKS: Final = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
    """Expansion, channels, repetitions and stride: table 2 of the paper, but for the last row."""

    def __init__(self, top: int | None = None) -> None:
        super().__init__()
        *rest, last = _CHANNELS["mobilenet_v2"]
        self.channels: Channels = (*rest, top or last)
        self.luminance = Luminance()
        blocks = [*map(list, self._BLOCKS), [6, top or last, 1, 1]]
        net = torchvision.models.MobileNetV2(inverted_residual_setting=blocks)
        self.features = net.features[: self._ENDS[-1]]

    def stem_modules(self) -> tuple[nn.Module, ...]:
        """All that makes the stride-4 map."""
        return tuple(self.features[: self._ENDS[0]])

    def forward(self, images: Tensor) -> Pyramid:
        """See the class."""
        maps, images = [], self.luminance(images)
        for begin, end in pairwise((0, *self._ENDS)):
            images = self.features[begin:end](images)
            maps.append(images)
        c2, c3, c4, c5 = maps
        return c2, c3, c4, c5


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(BasicBlock(inputs, outputs, stride=2, downsample=shortcut), BasicBlock(outputs, outputs))


class EdgeBackbone(nn.Module):
    """A narrow residual trunk for a robot's CPU: every stage of two basic blocks halves the map, nothing is pooled.

    Plain 3x3 convolutions on purpose: on CPUs depthwise ones train and run no faster at this size.
    forward: images float32 Bx3xHxW, normalised RGB, H and W multiples of 32 -> `Pyramid` with `channels`.
    """

    def __init__(self, channels: Channels = _CHANNELS["edge"], stem: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.stem = conv_bn_relu(3, stem, stride=2)
        self.stage1 = _stage(stem, channels[0])
        self.stage2 = _stage(channels[0], channels[1])
        self.stage3 = _stage(channels[1], channels[2])
        self.stage4 = _stage(channels[2], channels[3])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem_modules(self) -> tuple[nn.Module, ...]:
        """All that makes the stride-4 map."""
        return self.stem, self.stage1

    def forward(self, images: Tensor) -> Pyramid:
        """See the class."""
        c2 = self.stage1(self.stem(images))
        c3 = self.stage2(c2)
        c4 = self.stage3(c3)
        return c2, c3, c4, self.stage4(c4)


def build_backbone(config: ModelConfig) -> ResNetBackbone | MobileNetBackbone | EdgeBackbone:
    """The trunk that `config.backbone` names, with random weights."""
    if config.backbone == "edge":
        return EdgeBackbone()
    if config.backbone == "mobilenet_v2":
        return MobileNetBackbone(config.top_channels)
    return ResNetBackbone(_DEPTHS[config.backbone])


def pyramid_shapes(config: ModelConfig) -> tuple[tuple[int, int, int], ...]:
    """CxHxW of the four maps of one image."""
    size = config.preprocessing.input_size
    *rest, last = _CHANNELS[config.backbone]
    channels = (*rest, config.top_channels or last)
    return tuple((c, size // s, size // s) for c, s in zip(channels, _STRIDES, strict=True))
