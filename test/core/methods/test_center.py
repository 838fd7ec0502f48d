"""Center loss: Wen et al., ECCV 2016, equations 2 and 4."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.methods.center import WEIGHT, CenterLoss  # noqa: E402
from aue_crl_core.methods.centres import ClassCentres  # noqa: E402
from aue_crl_core.methods.method import HeadOutput, MethodBatch  # noqa: E402


def centres(*rows: tuple[float, ...], rate: float = 0.5) -> ClassCentres:
    made = ClassCentres(len(rows), len(rows[0]), rate)
    made.centres.copy_(torch.tensor(rows))
    return made


def test_the_loss_is_half_the_mean_squared_distance_to_the_own_centre():
    """Distances by hand: (3, 4) to (0, 0) is 5, (1, 1) to (1, 3) is 2: (25 + 4) / 2 / 2."""
    loss = centres((0, 0), (1, 3)).compactness(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(7.25)


def test_its_gradient_is_the_distance_to_the_centre_over_the_rows():
    made = centres((0.5, -1.0, 2.0), (1.0, 3.0, 0.0)).double()
    feature = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 1, 1, 0, 1])

    def exact(rows):
        return (rows - made.centres[label]).square().sum(dim=1).mean() / 2

    assert torch.autograd.gradcheck(exact, feature)
    made.compactness(feature, label).backward()
    torch.testing.assert_close(feature.grad, (feature.detach() - made.centres[label]) / 5)


def test_a_centre_moves_by_rate_towards_its_faces_and_stays_without_any():
    """Equation 4 by hand: class 0 has (2, 0) and (4, 0), so its step is (0 - 2 + 0 - 4) / (1 + 2) = -2, half of it."""
    made = centres((0, 0), (7, 7), (1, 1))
    made.follow(torch.tensor([[2.0, 0.0], [4.0, 0.0], [1.0, 5.0]]), torch.tensor([0, 0, 2]))
    assert made.centres.tolist() == [[1, 0], [7, 7], [1, 2]]


def test_centres_follow_as_the_paper_writes_it_row_by_row():
    torch.manual_seed(0)
    made = ClassCentres(4, 6, rate=0.3)
    before, feature, label = made.centres.clone(), torch.randn(9, 6), torch.tensor([0, 1, 1, 3, 3, 3, 0, 1, 1])
    made.follow(feature, label)
    for j in range(4):
        rows = [feature[i] for i in range(9) if label[i] == j]
        step = sum((before[j] - row for row in rows), torch.zeros(6)) / (1 + len(rows))
        torch.testing.assert_close(made.centres[j], before[j] - 0.3 * step)


def test_the_criterion_weighs_the_loss_of_the_centres_before_they_move():
    torch.manual_seed(0)
    criterion = CenterLoss(model_config("edge"))
    before = criterion.centres.centres.clone()
    feature, label = torch.randn(2, 256, requires_grad=True), torch.tensor([3, 3])
    none = torch.zeros(2)
    terms = criterion(HeadOutput(none, feature, {}), MethodBatch(none, label, none, none, none))
    away = feature.detach() - before[3]
    assert terms["center"].item() == pytest.approx(WEIGHT * float(away.square().sum()) / 4, rel=1e-5)
    terms["center"].backward()
    torch.testing.assert_close(feature.grad, WEIGHT * away / 2)
    assert [bool((a != b).any()) for a, b in zip(before, criterion.centres.centres, strict=True)] == [
        j == 3 for j in range(7)
    ]
    assert not list(criterion.parameters())
