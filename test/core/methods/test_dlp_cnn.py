"""DLP-CNN: the locality preserving loss, by hand and neighbour by neighbour."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.methods.dlp_cnn import METHOD, WEIGHT, locality, neighbour_means  # noqa: E402
from aue_crl_core.methods.method import HeadOutput, MethodBatch  # noqa: E402


def _loss(feature: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    output = HeadOutput(torch.zeros(len(label), 7), feature, {})
    return METHOD.criterion(ModelConfig())(output, MethodBatch(*[torch.empty(0)], label, *[torch.empty(0)] * 3))[
        "locality"
    ]


def _one_by_one(feature: torch.Tensor, label: torch.Tensor, neighbours: int) -> torch.Tensor:
    total = torch.zeros((), dtype=feature.dtype)
    for i, row in enumerate(feature):
        others = [x for j, x in enumerate(feature) if j != i and label[j] == label[i]]
        nearest = sorted(others, key=lambda x: (x - row).square().sum().item())[:neighbours]
        if nearest:
            total += (row - sum(nearest) / len(nearest)).square().sum() / 2
    return total / len(feature)


def test_the_loss_worked_out_by_hand():
    """Class 0 at 0, 1 and 5 on a line, class 1 alone: with all neighbours the means are 3, 2.5 and 0.5."""
    feature, label = torch.tensor([[0.0], [1.0], [5.0], [9.0]]), torch.tensor([0, 0, 0, 1])
    assert neighbour_means(feature, label, 20).flatten().tolist() == [3.0, 2.5, 0.5, 9.0]
    assert _loss(feature, label).item() == pytest.approx(WEIGHT * (9 + 2.25 + 20.25) / 2 / 4)
    assert neighbour_means(feature, label, 1).flatten().tolist() == [1.0, 0.0, 1.0, 9.0]


@pytest.mark.parametrize("neighbours", [1, 3, 20])
def test_all_rows_at_once_equal_one_after_the_other(neighbours):
    draw = torch.Generator().manual_seed(0)
    feature, label = torch.randn(40, 6, generator=draw), torch.randint(0, 5, (40,), generator=draw)
    got = locality(feature, neighbour_means(feature, label, neighbours))
    torch.testing.assert_close(got, _one_by_one(feature, label, neighbours))


def test_a_batch_without_two_of_a_class_costs_nothing():
    feature = torch.randn(2, 4, requires_grad=True)
    loss = _loss(feature, torch.tensor([3, 5]))
    loss.backward()
    assert loss.item() == 0
    assert feature.grad.abs().max() == 0


def test_each_feature_is_drawn_to_its_neighbours_mean_and_the_means_stand_still():
    draw = torch.Generator().manual_seed(0)
    feature = torch.randn(12, 3, dtype=torch.float64, generator=draw).requires_grad_()
    label = torch.tensor([0, 1, 2] * 4)
    means = neighbour_means(feature, label, 2)
    assert torch.autograd.gradcheck(lambda x: locality(x, means), feature)
    _loss(feature, label).backward()
    means = neighbour_means(feature.float(), label, 20).double()
    torch.testing.assert_close(feature.grad, WEIGHT * (feature - means).detach() / 12, rtol=1e-5, atol=1e-8)


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("dlp_cnn", 40)[0] >= 0.9
