"""Island loss: Cai et al., FG 2018, equations 5 and 8."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.methods.island import ISLANDS, WEIGHT, IslandLoss, islands  # noqa: E402
from aue_crl_core.methods.method import HeadOutput, MethodBatch  # noqa: E402


def test_islands_by_hand():
    """Cosines of (1, 0), (0, 2) and (-3, 0): 0, -1 and 0; plus 1 each, and each pair counts twice."""
    assert islands(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])).item() == pytest.approx(2 * (1 + 0 + 1))
    assert islands(torch.tensor([[1.0, 0.0], [2.0, 0.0]])).item() == pytest.approx(4)


def test_the_gradient_of_the_islands():
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(islands, torch.randn(4, 3, dtype=torch.float64, requires_grad=True))


def step(criterion: IslandLoss, feature: torch.Tensor, label: torch.Tensor) -> dict[str, torch.Tensor]:
    none = torch.zeros(len(feature))
    return criterion(HeadOutput(none, feature, {}), MethodBatch(none, label, none, none, none))


def test_centres_move_as_the_paper_writes_it():
    """Equation 8: towards the class's faces, and away from each other centre by the gradient of their cosine."""
    torch.manual_seed(0)
    criterion = IslandLoss(model_config("edge"))
    c = criterion.centres.centres.clone()
    feature, label = torch.randn(6, 256), torch.tensor([0, 1, 1, 3, 3, 3])
    terms = step(criterion, feature, label)
    total = 0.0
    for j in range(7):
        rows = [feature[i] for i in range(6) if label[i] == j]
        delta = sum((c[j] - row for row in rows), torch.zeros(256)) / (1 + len(rows))
        for k in range(7):
            if k != j:
                size_j, size_k = c[j].norm(), c[k].norm()
                push = c[k] / (size_k * size_j) - (c[k] @ c[j]) / (size_k * size_j**3) * c[j]
                delta = delta + ISLANDS / 6 * push
                total += float(c[k] @ c[j] / (size_k * size_j)) + 1
        torch.testing.assert_close(criterion.centres.centres[j], c[j] - 0.5 * delta, rtol=1e-4, atol=1e-5)
    assert terms["island"].item() == pytest.approx(WEIGHT * ISLANDS * total, rel=1e-5)
    assert terms["center"].item() == pytest.approx(WEIGHT * float((feature - c[label]).square().sum()) / 12, rel=1e-5)


def test_centres_without_faces_still_turn_away_from_each_other():
    """A class that the data lacks costs nothing else and breaks nothing."""
    torch.manual_seed(0)
    criterion = IslandLoss(model_config("edge"))
    nobody, label = torch.zeros(2, 256), torch.tensor([5, 5])
    first = float(step(criterion, nobody, label)["island"])
    for _ in range(200):
        last = float(step(criterion, nobody, label)["island"])
    assert criterion.centres.centres.isfinite().all()
    least = WEIGHT * ISLANDS * 7 * 6 * (1 - 1 / 6)  # seven directions at equal angles
    assert least < last < first
    assert math.isfinite(last)
