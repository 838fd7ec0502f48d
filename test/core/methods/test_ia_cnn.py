"""IA-CNN: the contrastive loss, by hand and pair by pair; who is unknown is in no pair."""

from __future__ import annotations

from itertools import combinations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.methods.ia_cnn import (  # noqa: E402
    EXPRESSION_WEIGHT,
    IDENTITY_WEIGHT,
    METHOD,
    IdentityAwareHead,
    contrastive_loss,
)
from aue_crl_core.methods.method import HeadOutput, MethodBatch  # noqa: E402

CHANNELS = (4, 6, 8, 10)


def _pair_by_pair(features: torch.Tensor, labels: torch.Tensor, margin: float) -> float:
    same, others = [], []
    for i, j in combinations(range(len(labels)), 2):
        if min(labels[i], labels[j]) < 0:
            continue
        distance = float((features[i] - features[j]).norm())
        if labels[i] == labels[j]:
            same.append(distance**2 / 2)
        else:
            others.append(max(0.0, margin - distance) ** 2 / 2)
    return sum(sum(costs) / len(costs) for costs in (same, others) if costs)


def test_the_loss_by_hand():
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    labels = torch.tensor([2, 2, 5])
    # together: 5^2 / 2; apart: (2 - 1)^2 / 2 and 0, as (3, 4) and (0, 1) are further than 2 from each other
    assert contrastive_loss(features, labels, margin=2.0).item() == pytest.approx(12.5 + 0.25)


@pytest.mark.parametrize("batch", [2, 3, 17])
def test_it_is_the_mean_over_pairs(batch):
    draw = torch.Generator().manual_seed(batch)
    features = torch.randn(batch, 4, generator=draw)
    labels = torch.randint(-1, 3, (batch,), generator=draw)
    expected = _pair_by_pair(features, labels, 1.5)
    assert contrastive_loss(features, labels, margin=1.5).item() == pytest.approx(expected, abs=1e-5)


def test_its_gradient():
    labels = torch.tensor([0, 1, 0, -1, 1, 2])
    features = torch.randn(6, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: contrastive_loss(f, labels, margin=2.0), features)
    (gradient,) = torch.autograd.grad(contrastive_loss(features, labels, margin=2.0), features)
    assert not gradient[3].any(), "an unknown person is compared with nobody"


def test_equal_features_and_unknown_people_give_finite_gradients():
    features = torch.ones(4, 3, requires_grad=True)
    for labels in (torch.tensor([0, 0, 1, 1]), torch.full((4,), -1)):
        (gradient,) = torch.autograd.grad(contrastive_loss(features, labels), features)
        assert gradient.isfinite().all()


def test_expressions_teach_the_one_feature_and_people_the_other():
    criterion = METHOD.criterion(ModelConfig())
    draw = torch.Generator().manual_seed(0)
    expression, person = (torch.randn(5, 6, generator=draw, requires_grad=True) for _ in range(2))
    label, identity = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([7, 7, 7, 3, -1])
    empty = torch.empty(0)
    batch = MethodBatch(empty, label, identity, empty, empty)
    terms = criterion(HeadOutput(empty, expression, {"identity": person}), batch)
    unit = [torch.nn.functional.normalize(feature.detach(), dim=1) for feature in (expression, person)]
    expected = [_pair_by_pair(unit[0], label, 1.0), _pair_by_pair(unit[1], identity, 1.0)]
    assert terms["same_expression"].item() == pytest.approx(EXPRESSION_WEIGHT * expected[0], abs=1e-5)
    assert terms["same_person"].item() == pytest.approx(IDENTITY_WEIGHT * expected[1], abs=1e-5)
    assert torch.autograd.grad(terms["same_person"], expression, allow_unused=True) == (None,)


def test_two_faces_are_enough():
    pyramid = tuple(torch.randn(2, c, 24 // 2**i, 24 // 2**i) for i, c in enumerate(CHANNELS))
    head = IdentityAwareHead(ModelConfig(feature_dim=8), CHANNELS)
    output = head(pyramid, torch.rand(2, 68, 2), torch.zeros(2, 3, 96, 96))
    assert output.logits.shape == (2, 7)
    assert output.feature.shape == output.extras["identity"].shape == (2, 8)


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("ia_cnn", 40)[0] >= 0.9
