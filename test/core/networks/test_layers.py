"""The shared layers are what they claim to be, written with torch's own."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.networks.layers import GroupedLinear, NeighbourNorm, conv_bn_relu, deconv_bn_relu  # noqa: E402


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_neighbour_norm_is_torchs_local_response_norm_of_size_2_with_twice_the_authors_alpha(channels, scale):
    maps = torch.randn(3, channels, 4, 6, generator=torch.Generator().manual_seed(0)) * scale
    expected = torch.nn.LocalResponseNorm(2, alpha=2e-4, beta=0.75, k=1)(maps)
    torch.testing.assert_close(NeighbourNorm()(maps), expected)


def test_neighbour_norm_keeps_half_precision_but_reckons_in_float32():
    maps = torch.randn(1, 8, 3, 3, generator=torch.Generator().manual_seed(0)).mul(40).bfloat16()
    normed = NeighbourNorm()(maps)
    assert normed.dtype == torch.bfloat16
    torch.testing.assert_close(normed.float(), NeighbourNorm()(maps.float()), rtol=2e-2, atol=0)


def test_grouped_linear_is_one_linear_layer_per_group():
    layer, inputs = GroupedLinear(5, 7, 3), torch.randn(4, 5, 7)
    one_by_one = [
        torch.nn.functional.linear(inputs[:, g], layer.weight[g].T, layer.bias[g]) for g in range(inputs.shape[1])
    ]
    torch.testing.assert_close(layer(inputs), torch.stack(one_by_one, dim=1))


def test_grouped_linear_starts_in_the_range_of_a_linear_layer():
    weight = GroupedLinear(10, 100, 50).weight.detach()
    assert weight.abs().max() <= 0.1 + 1e-6
    assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)


def test_convolutions_halve_and_deconvolutions_double_the_map():
    assert conv_bn_relu(3, 5, stride=2)(torch.zeros(2, 3, 8, 12)).shape == (2, 5, 4, 6)
    assert deconv_bn_relu(3, 5)(torch.zeros(2, 3, 8, 12)).shape == (2, 5, 16, 24)
