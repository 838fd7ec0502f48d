"""CompactDLM: small, grey, and trained in every light."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig, model_config  # noqa: E402
from aue_crl_core.data.transforms import Augmentation  # noqa: E402
from aue_crl_core.methods.compact_dlm import METHOD, CompactTrunk  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402


@pytest.mark.parametrize("model", ["edge", "resnet101"])
def test_it_has_less_than_a_million_parameters_whatever_the_model(model):
    network = build_network(dataclasses.replace(model_config(model), method="compact_dlm"))
    counts = [sum(p.numel() for p in part.parameters()) for part in (network.backbone, network.head)]
    assert 100_000 < sum(counts) < 1_000_000


@pytest.mark.parametrize("size", [64, 96])
def test_its_maps_are_those_of_a_trunk(size):
    maps = CompactTrunk(ModelConfig())(torch.randn(2, 3, size, size))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, size // s, size // s) for c, s in zip(CompactTrunk(ModelConfig()).channels, (4, 8, 16, 32), strict=True)
    ]


def test_it_sees_no_colour():
    network = build_network(dataclasses.replace(model_config("edge"), method="compact_dlm")).eval()
    images = torch.zeros(3, 3, 96, 96)
    images[0, 0, 20:60] = 1.0
    images[1, :, 20:60] = 0.299
    with torch.no_grad():
        logits = network(images, torch.zeros(3, 68, 2)).expression_logits
        red, grey, black = network.backbone(network.luminance(images))[0]
    torch.testing.assert_close(logits[0], logits[1])
    torch.testing.assert_close(red, grey)
    assert (red - black).abs().max() > 0.01


def test_every_face_is_lit_anew_and_nothing_else_changes():
    given = Augmentation(flip=0.3, light=0.2)
    changed = METHOD.augmentation(given)
    assert changed.light == 1.0
    assert changed.dim > 0
    assert dataclasses.replace(changed, light=given.light, dim=given.dim) == given
    assert METHOD.augmentation(Augmentation(dim=0.5)).dim == 0.5


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("compact_dlm", 40)[0] >= 0.9
