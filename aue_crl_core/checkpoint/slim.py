"""A narrower network that says the same.

The last map of a trained MobileNetV2 and the expression feature made of the pyramid hold far less than their channels:
on faces, almost all of what they vary is in a few directions. Those are kept (principal components, found on faces),
the rest is not computed. Nothing is trained again, and nothing but the widths of two layers changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from aue_crl_core.errors import ConfigError
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.build import build_network
from aue_crl_core.networks.network import FaceNetwork

SLIM_FACES: Final = 1024
_TOP_SHARE: Final = 0.99
_FEATURE_SHARE: Final = 0.995
"""Of the energy of the last map, and of the variance of the feature's convolution, so much is kept at least."""
_STEP: Final = 16
"""Widths are multiples of it: processors multiply so many numbers at once."""


class _Moments:
    """Mean and second moment, float64, of the channels of maps BxCxHxW, over all of their cells."""

    def __init__(self) -> None:
        self.mean: Tensor = torch.zeros((), dtype=torch.float64)
        self.second: Tensor = torch.zeros((), dtype=torch.float64)
        self._count = 0

    def add(self, maps: Tensor) -> None:
        rows = maps.detach().double().permute(0, 2, 3, 1).flatten(0, 2)
        total = self._count + len(rows)
        self.mean = (self._count * self.mean + rows.sum(dim=0)) / total
        self.second = (self._count * self.second + rows.T @ rows) / total
        self._count = total

    @property
    def covariance(self) -> Tensor:
        return self.second - torch.outer(self.mean, self.mean)


@torch.no_grad()
def slim(network: FaceNetwork, batches: Iterable[Tensor]) -> AueCrl:
    """`network` with a narrower last map (`ModelConfig.top_channels`) and feature (`feature_rank`), in evaluation mode.

    `batches` of normalised face crops float32 Bx3xSxS, a thousand in all or so: what it can do without is seen on them.

    Raises:
        ConfigError: a network of another form, or one that is narrowed already.
    """
    config = network.config
    if not isinstance(network, AueCrl) or config.backbone != "mobilenet_v2" or config.top_channels is not None:
        raise ConfigError(
            "a network to be narrowed must be mobilenet_v2 of method aue_crl at its full width, got "
            f"{config.backbone} of {config.method}" + (" that is narrowed already" if config.top_channels else "")
        )
    top, feature = _Moments(), _Moments()
    hook = network.expression_branch.reduce[0].register_forward_hook(lambda _, __, maps: feature.add(maps))
    for images in batches:
        pyramid = network.backbone(images)
        top.add(pyramid[3])
        network.expression_branch(pyramid)
    hook.remove()
    axes, wide = _axes(top.second, _TOP_SHARE), _axes(feature.covariance, _FEATURE_SHARE)
    narrow = build_network(replace(config, top_channels=axes.shape[1], feature_rank=wide.shape[1])).eval()
    assert isinstance(narrow, AueCrl)
    kept = {k: v for k, v in network.state_dict().items() if not k.startswith("expression_branch.reduce.")}
    shapes = {k: v.shape for k, v in narrow.state_dict().items()}
    narrow.load_state_dict({k: v for k, v in kept.items() if shapes.get(k) == v.shape}, strict=False)
    _narrow_top(network, narrow, axes, top)
    merge, own = (net.action_unit_branch.decoder.merge[0][0] for net in (network, narrow))
    own.weight.copy_(_seen_through(merge.weight, axes))
    reduce, own = (net.expression_branch.reduce[0] for net in (network, narrow))
    own.weight.copy_(_combined(wide.T, _seen_through(reduce.weight, axes)))
    _narrow_feature(network, narrow, wide, feature.mean)
    return narrow


def _axes(moments: Tensor, share: float) -> Tensor:
    """The first eigenvectors, CxR, that hold `share` of the sum of the eigenvalues; R a multiple of `_STEP`."""
    values, vectors = torch.linalg.eigh(moments)
    held = values.flip(0).cumsum(0) / values.sum()
    least = int((held < share).sum()) + 1
    return vectors.flip(1)[:, : min(-(-least // _STEP) * _STEP, len(values))]


def _combined(matrix: Tensor, weight: Tensor) -> Tensor:
    """`matrix` RxO of a convolution's outputs: OxIxKxK -> RxIxKxK."""
    return torch.einsum("ro,oikl->rikl", matrix, weight.double()).float()


def _seen_through(weight: Tensor, axes: Tensor) -> Tensor:
    """A convolution of maps that end in the last map's C channels, OxIxKxK, for maps that end in its R components."""
    rest = weight.shape[1] - axes.shape[0]
    components = torch.einsum("ockl,cr->orkl", weight[:, rest:].double(), axes).float()
    return torch.cat([weight[:, :rest], components], dim=1)


def _narrow_top(network: AueCrl, narrow: AueCrl, axes: Tensor, top: _Moments) -> None:
    """The trunk's last convolution puts out components of the map, not its channels."""
    old, new = network.backbone.features[-1].conv, narrow.backbone.features[-1].conv
    norm, own = old[-1], new[-1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(own, nn.BatchNorm2d)
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr, operator]
    shift = axes.T @ (norm.bias.double() - gain * norm.running_mean.double())  # type: ignore[union-attr, operator]
    new[-2].weight.copy_(_combined(axes.T * gain, old[-2].weight))
    own.running_mean.copy_(axes.T @ top.mean - shift)  # type: ignore[union-attr, operator]
    own.running_var.copy_((axes.T @ top.covariance @ axes).diagonal())  # type: ignore[union-attr, operator]
    own.weight.copy_((own.running_var + own.eps).sqrt())  # type: ignore[operator]
    own.bias.copy_(axes.T @ top.mean)


def _narrow_feature(network: AueCrl, narrow: AueCrl, axes: Tensor, mean: Tensor) -> None:
    """The feature's normalisation sees its convolution's outputs made of components; the others stay at their mean."""
    old, new = network.expression_branch.reduce, narrow.expression_branch.reduce
    new[1].weight.copy_(axes[:, :, None, None])
    new[2].load_state_dict(old[1].state_dict())
    new[2].running_mean.sub_(mean - axes @ (axes.T @ mean))
