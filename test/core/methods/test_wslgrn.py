"""WSLGRN: attention pooling, relation gates and contrastive terms, each written out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.methods.method import HeadOutput, MethodBatch  # noqa: E402
from aue_crl_core.methods.wslgrn import (  # noqa: E402
    MAPS,
    METHOD,
    WEIGHT,
    WIDTH,
    RelationGates,
    attention_pooling,
    contrastive_center,
)


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def test_attention_pooling_is_the_mean_of_the_map_weighed_by_each_attention_map():
    maps, attention = torch.randn(3, 5, 4, 6), torch.rand(3, 2, 4, 6)
    expected = [[(attention[b, k] * maps[b]).mean(dim=(1, 2)) for k in range(2)] for b in range(3)]
    torch.testing.assert_close(attention_pooling(maps, attention), torch.stack([torch.stack(e) for e in expected]))


def test_gates_follow_the_relations_of_each_feature_to_all():
    gates, features = RelationGates(5, 4), torch.randn(2, 3, 5)
    expected = torch.empty(2, 3)
    for b in range(2):
        for i in range(3):
            related = [torch.relu(gates.own(features[b, i]) + gates.other(features[b, j])) for j in range(3)]
            expected[b, i] = torch.sigmoid(gates.score(sum(related) / 3))
    torch.testing.assert_close(gates(features), expected)


def test_the_contrastive_term_worked_out_by_hand():
    """A feature at 1 of class 0, centres at 0, 3 and -1: 1/2 * 1 / (4 + 4 + 1); with its own centre hit it is 0."""
    features, centres = torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[[0.0], [3.0], [-1.0]]])
    assert contrastive_center(features, centres, torch.tensor([0, 1])).item() == pytest.approx(1 / 9 / 2 / 2)


def test_the_contrastive_term_sums_over_rows_and_parts_one_by_one():
    features, centres, label = torch.randn(4, 2, 3), torch.randn(2, 5, 3), torch.tensor([0, 4, 4, 2])
    expected = torch.zeros(2)
    for x, y in zip(features, label, strict=True):
        for part in range(2):
            distances = [(x[part] - c).square().sum() for c in centres[part]]
            expected[part] += distances[y] / (sum(d for j, d in enumerate(distances) if j != y) + 1) / 2 / 4
    torch.testing.assert_close(contrastive_center(features, centres, label), expected)


def test_gradients_are_right():
    maps, attention = torch.randn(2, 3, 2, 2).double(), torch.rand(2, 2, 2, 2).double()
    assert torch.autograd.gradcheck(attention_pooling, (maps.requires_grad_(), attention.requires_grad_()))
    features, centres = torch.randn(3, 2, 4).double(), torch.randn(2, 5, 4).double()
    inputs = (features.requires_grad_(), centres.requires_grad_(), torch.tensor([1, 1, 3]))
    assert torch.autograd.gradcheck(contrastive_center, inputs)
    assert torch.autograd.gradcheck(RelationGates(4, 3).double(), features)


def test_the_loss_names_the_global_and_the_local_terms():
    criterion, label = METHOD.criterion(ModelConfig()), torch.tensor([2, 2])
    parts = torch.randn(2, 1 + MAPS, WIDTH)
    nothing = torch.empty(0)
    terms = criterion(
        HeadOutput(nothing, nothing, {"parts": parts}), MethodBatch(nothing, label, nothing, nothing, nothing)
    )
    each = WEIGHT * contrastive_center(parts, criterion.centres, label)
    torch.testing.assert_close(terms["contrast_global"], each[0])
    torch.testing.assert_close(terms["contrast_local"], each[1:].mean())


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("wslgrn", 40)[0] >= 0.9
