"""The folded network says what the network says, in other operations."""

from __future__ import annotations

import copy
import dataclasses

import pytest

torch = pytest.importorskip("torch")

from small_network import SMALL, as_after_training  # noqa: E402

from aue_crl_core.checkpoint import load_network  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.networks.folded import JoinedGroups, LuminanceConv, NormalisedLinear, fold  # noqa: E402
from aue_crl_core.networks.layers import GroupedLinear  # noqa: E402


def _grouped(outputs: int, groups: int) -> torch.nn.Conv2d:
    return torch.nn.Conv2d(groups * 3, groups * outputs, 3, padding=1, groups=groups)


def _trained_norm(width: int) -> torch.nn.BatchNorm1d:
    norm = torch.nn.BatchNorm1d(width).eval()
    for tensor, low, high in (
        (norm.running_mean, -1, 1),
        (norm.running_var, 0.5, 2),
        (norm.weight, 0.5, 2),
        (norm.bias, -1, 1),
    ):
        torch.nn.init.uniform_(tensor, low, high)
    return norm


@pytest.mark.parametrize(("outputs", "groups", "joined"), [(8, 34, 17), (4, 8, 2), (2, 8, 1)])
def test_joined_groups_are_the_same_convolution(outputs, groups, joined):
    conv, maps = _grouped(outputs, groups), torch.randn(2, groups * 3, 10, 10)
    assert JoinedGroups.would_fill(conv)
    wider = JoinedGroups(conv)
    assert groups // wider.joined == joined
    torch.testing.assert_close(wider(maps), conv(maps))


@pytest.mark.parametrize(("outputs", "groups"), [(16, 34), (64, 2), (5, 16), (4, 34)])
def test_groups_that_are_wide_enough_or_do_not_add_up_to_16_stay_as_they_are(outputs, groups):
    assert not JoinedGroups.would_fill(_grouped(outputs, groups))


def test_a_normalised_linear_layer_is_both_layers():
    linear, norm, inputs = torch.nn.Linear(7, 5), _trained_norm(5), torch.randn(4, 7)
    torch.testing.assert_close(NormalisedLinear(linear, norm)(inputs), norm(linear(inputs)))
    grouped, norm, inputs = GroupedLinear(3, 7, 5), _trained_norm(15), torch.randn(4, 3, 7)
    expected = norm(grouped(inputs).flatten(1)).unflatten(1, (3, 5))
    torch.testing.assert_close(NormalisedLinear(grouped, norm)(inputs), expected)


@pytest.fixture(scope="module")
def shipped():
    return load_network(find_weights("edge", "torch"))[0].eval()


@pytest.mark.parametrize("batch", [1, 3])
def test_the_shipped_network_says_the_same_folded(shipped, batch):
    torch.manual_seed(0)
    images, points = torch.randn(batch, 3, 96, 96), torch.rand(batch, 68, 2) * 96
    with torch.no_grad():
        whole, light = (network(images, points) for network in (shipped, fold(copy.deepcopy(shipped))))
        found, found_light = (network.landmark_net(images) for network in (shipped, fold(copy.deepcopy(shipped))))
    for name, value in whole._asdict().items():
        torch.testing.assert_close(getattr(light, name), value, rtol=1e-4, atol=1e-5, msg=name)
    torch.testing.assert_close(found_light, found, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("backbone", ["edge", "resnet18"])
def test_networks_that_see_colours_say_the_same_folded(backbone):
    network = as_after_training(dataclasses.replace(SMALL, backbone=backbone, region_channels=8))
    images, points = torch.randn(2, 3, 64, 64), torch.rand(2, 68, 2) * 64
    light = fold(copy.deepcopy(network))
    assert isinstance(light.action_unit_branch.region_conv, JoinedGroups)
    with torch.no_grad():
        for ours, theirs in zip(light(images, points), network(images, points), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_another_methods_network_says_the_same_folded():
    network = as_after_training(dataclasses.replace(SMALL, backbone="mobilenet_v2", method="softmax"))
    images, points = torch.randn(2, 3, 64, 64), torch.rand(2, 68, 2) * 64
    light = fold(copy.deepcopy(network))
    assert isinstance(light.backbone.features[0][0], LuminanceConv)
    with torch.no_grad():
        for ours, theirs in zip(light(images, points), network(images, points), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
