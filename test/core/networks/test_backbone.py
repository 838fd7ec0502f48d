"""Trunks: which maps come out, of what size, and under what names."""

from __future__ import annotations

from typing import get_args

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from aue_crl_core.config import ModelName, model_config  # noqa: E402
from aue_crl_core.networks.backbone import (  # noqa: E402
    EdgeBackbone,
    MobileNetBackbone,
    ResNetBackbone,
    build_backbone,
)


@pytest.mark.parametrize("name", get_args(ModelName))
@pytest.mark.parametrize("size", [96, 224])
def test_the_four_maps_have_strides_4_8_16_32_and_the_channels_that_the_trunk_names(name, size):
    with torch.device("meta"):
        backbone = build_backbone(model_config(name))
        maps = backbone(torch.empty(2, 3, size, size))
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, size // stride, size // stride)
        for channels, stride in zip(backbone.channels, (4, 8, 16, 32), strict=True)
    ]


def test_the_papers_trunk_has_the_papers_channels():
    with torch.device("meta"):
        assert ResNetBackbone(101).channels == (256, 512, 1024, 2048)


@pytest.mark.parametrize("depth", [18, 50, 101])
def test_a_resnet_keeps_torchvisions_names_so_that_its_weights_load(depth):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
        ours = ResNetBackbone(depth).state_dict()
    expected = {name: value.shape for name, value in theirs.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in ours.items()} == expected


def test_a_resnet_computes_what_torchvisions_does():
    theirs = torchvision.models.resnet18(weights=None).eval()
    ours = ResNetBackbone(18).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(theirs.fc(ours(images)[3].mean(dim=(2, 3))), theirs(images))


def test_mobilenet_computes_what_torchvisions_blocks_do_under_their_names():
    theirs = torchvision.models.mobilenet_v2(weights=None).eval()
    ours = MobileNetBackbone().eval()
    tensors = {n: t for n, t in theirs.state_dict().items() if not n.startswith(("classifier.", "features.18."))}
    ours.load_state_dict(tensors)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images)[3], theirs.features[:18](images))


def test_the_edge_trunk_takes_other_widths():
    backbone = EdgeBackbone(channels=(4, 6, 8, 10), stem=3)
    assert [m.shape[1] for m in backbone(torch.zeros(1, 3, 64, 64))] == [4, 6, 8, 10]
