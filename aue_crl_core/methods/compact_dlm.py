"""CompactDLM: a small grey network of its own, trained on faces in every light.

Kuo, Lai & Sarkis describe a frame-based network of few parameters, its extension by a gated recurrent unit over the
frames of a clip, and an augmentation of the lighting. The layers here are a choice of our own (less than a million
parameters): plain pairs of 3x3 convolutions. The recurrent unit is left out, because an index lists single images and
knows no clips. Every training face is lit anew, by the changes that other methods see less often.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.methods.heads import PooledHead
from aue_crl_core.methods.method import Method
from aue_crl_core.networks.layers import conv_bn_relu

if TYPE_CHECKING:
    from aue_crl_core.data.transforms import Augmentation

_STEM: Final = 24
_CHANNELS: Final = (32, 64, 112, 160)
_DIM: Final = 0.15


class CompactTrunk(nn.Module):
    """images float32 Bx3xHxW, normalised and grey, H and W multiples of 32 -> four maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.channels = _CHANNELS
        self.stem = conv_bn_relu(1, _STEM, stride=2)
        inputs = (_STEM, *_CHANNELS)
        self.stages = nn.ModuleList(
            nn.Sequential(conv_bn_relu(i, o, stride=2), conv_bn_relu(o, o))
            for i, o in zip(inputs, _CHANNELS, strict=False)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        maps = [self.stem(images[:, :1])]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps[1:])


def lit_anew(augmentation: Augmentation) -> Augmentation:
    """The same, but every face is lit anew, some as in a dark room."""
    return dataclasses.replace(augmentation, light=1.0, dim=max(augmentation.dim, _DIM))


METHOD = Method(
    "compact_dlm",
    "CompactDLM",
    "Kuo, Lai & Sarkis, A Compact Deep Learning Model for Robust Facial Expression Recognition, CVPRW 2018",
    PooledHead,
    augmentation=lit_anew,
    input="grey",
    whole=CompactTrunk,
)
