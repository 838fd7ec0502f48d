"""Fusion: the attention and what it weighs, checked AU by AU."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.networks.fusion import Fusion  # noqa: E402

CONFIG = ModelConfig(feature_dim=8, region_dim=5, fusion_dim=7, dropout=0.0)


def _inputs(batch: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(batch, 8, generator=draw), torch.rand(batch, 17, 2, 5, generator=draw)


def _by_hand(fusion: Fusion, feature: torch.Tensor, units: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """`units`: 17 tensors Bx10. Every AU has its own linear layer and its own batch normalisation."""

    def norm(x: torch.Tensor, layer: torch.nn.BatchNorm1d, own: slice) -> torch.Tensor:
        mean, var = layer.running_mean[own].clone(), layer.running_var[own].clone()
        return F.batch_norm(x, mean, var, layer.weight[own], layer.bias[own], layer.training)

    question = norm(fusion.expression_linear(feature), fusion.expression_norm, slice(None)).tanh()
    scores = []
    for i, unit in enumerate(units):
        answer = unit @ fusion.unit_linear.weight[i] + fusion.unit_linear.bias[i]
        answer = norm(answer, fusion.unit_norm, slice(7 * i, 7 * i + 7)).tanh()
        scores.append(F.relu(fusion.score(answer * question)))
    attention = torch.cat(scores, dim=1).softmax(dim=1)
    attended = sum(attention[:, i : i + 1] * unit for i, unit in enumerate(units))
    return fusion.classifier(torch.cat([feature, attended], dim=1)), attention


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("upstream", [False, True])
def test_fusing_all_units_at_once_equals_fusing_one_after_the_other(training, upstream):
    fusion = Fusion(dataclasses.replace(CONFIG, upstream_region_order=upstream)).train(training)
    torch.nn.init.normal_(fusion.unit_norm.weight)
    torch.nn.init.normal_(fusion.unit_norm.running_mean)
    feature, vectors = _inputs()
    regions = [vectors[:, i, side] for i in range(17) for side in range(2)]
    pairs = [(i, 17 + i) if upstream else (2 * i, 2 * i + 1) for i in range(17)]
    expected = _by_hand(fusion, feature, [torch.cat([regions[a], regions[b]], dim=1) for a, b in pairs])
    logits, attention = fusion(feature, vectors)
    torch.testing.assert_close(attention, expected[1])
    torch.testing.assert_close(logits, expected[0])


def test_attention_is_a_distribution_over_the_units():
    attention = Fusion(CONFIG).eval()(*_inputs())[1]
    assert attention.shape == (6, 17)
    assert (attention > 0).all()
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(6))


def test_by_default_the_two_sides_of_an_action_unit_stay_together():
    vectors = torch.arange(34.0).view(1, 17, 2, 1)
    pairs = Fusion(dataclasses.replace(CONFIG, region_dim=1)).pair(vectors)
    assert pairs[0].tolist() == [[2.0 * i, 2.0 * i + 1] for i in range(17)]


def test_the_upstream_order_pairs_halves_of_different_action_units():
    vectors = torch.arange(34.0).view(1, 17, 2, 1)
    pairs = Fusion(dataclasses.replace(CONFIG, region_dim=1, upstream_region_order=True)).pair(vectors)
    assert pairs[0].tolist() == [[1.0 * i, 17.0 + i] for i in range(17)]


def test_the_compound_vocabulary_has_11_logits():
    assert Fusion(dataclasses.replace(CONFIG, vocabulary="compound"))(*_inputs())[0].shape == (6, 11)


def test_with_sigmoid_attention_each_unit_is_weighed_alone():
    softmax, sigmoid = Fusion(CONFIG).eval(), Fusion(dataclasses.replace(CONFIG, attention="sigmoid")).eval()
    sigmoid.load_state_dict(softmax.state_dict())
    weights, alone = softmax(*_inputs())[1], sigmoid(*_inputs())[1]
    torch.testing.assert_close(alone.logit().softmax(dim=1), weights)
    assert (alone >= 0.5).all()
