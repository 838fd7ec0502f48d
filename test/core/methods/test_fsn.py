"""FSN: what the face covers, what a map's own masks let through."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.methods.fsn import FeatureSelection, FeatureSelectionHead, face_mask  # noqa: E402

CHANNELS = (4, 6, 8, 10)


def _circle(x: float, y: float, radius: float) -> torch.Tensor:
    """68 points on a circle, 1x68x2."""
    angle = torch.arange(68) * (2 * torch.pi / 68)
    return torch.stack([x + radius * angle.cos(), y + radius * angle.sin()], dim=1)[None]


def test_a_round_face_covers_what_its_distance_from_the_middle_says():
    """Cells of 10 pixels; points on a circle of radius 20 around the middle cell's centre (pixel 24.5, 24.5)."""
    mask = face_mask(_circle(24.5, 24.5, 20.0), side=50, cells=5)[0]
    squares = torch.tensor([4.0, 1.0, 0.0, 1.0, 4.0])
    expected = torch.sigmoid(4 * (1 - (squares[:, None] + squares) / 4))
    torch.testing.assert_close(mask, expected, rtol=1e-4, atol=1e-5)


def test_all_points_of_a_real_face_lie_inside_its_mask(fifty_faces):
    mask = face_mask(fifty_faces.points, side=32, cells=32)
    nearest = fifty_faces.points.round().long().clamp(0, 31)
    there = mask[torch.arange(50)[:, None], nearest[:, :, 1], nearest[:, :, 0]]
    assert there.min() > 0.3, "half on the edge, a little less where a point is rounded outwards"
    assert mask[:, [0, 0, 31, 31], [0, 31, 0, 31]].mean() < 0.2, "corners are no face"


@pytest.mark.parametrize("points", [torch.zeros(1, 68, 2), _circle(-500.0, 900.0, 30.0)])
def test_points_in_one_place_or_outside_make_a_mask_all_the_same(points):
    mask = face_mask(points, side=96, cells=6)
    assert mask.isfinite().all()
    assert ((mask >= 0) & (mask <= 1)).all()


def test_a_cell_passes_by_its_own_and_its_neighbours_influence_worked_out_by_hand():
    """A 2x2 map [[1, 2], [3, 4]], of which the last cell is no face; influence: the cell itself + the one right."""
    select = FeatureSelection(1)
    with torch.no_grad():
        select.influence.weight.copy_(torch.tensor([[0.0, 0, 0], [0, 1, 1], [0, 0, 0]]))
        select.influence.bias.zero_()
    got = select(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([[[1.0, 1.0], [1.0, 0.0]]]))
    passed = torch.sigmoid(torch.tensor([3.0, 2.0, 3.0])) * torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(got.flatten(), torch.cat([passed, torch.zeros(1)]))


def test_gradients_are_right():
    torch.manual_seed(0)
    maps, face = torch.randn(1, 2, 3, 3).double(), torch.rand(1, 3, 3).double()
    assert torch.autograd.gradcheck(FeatureSelection(2).double(), (maps.requires_grad_(), face.requires_grad_()))


def test_what_lies_outside_the_face_does_not_count():
    torch.manual_seed(0)
    head = FeatureSelectionHead(ModelConfig(feature_dim=16), CHANNELS).eval()
    pyramid = [torch.randn(2, c, 24 // 2**i, 24 // 2**i) for i, c in enumerate(CHANNELS)]
    points, images = _circle(24.0, 24.0, 12.0).expand(2, -1, -1), torch.zeros(2, 3, 96, 96)
    before = head(pyramid, points, images).feature
    for maps in pyramid[-2:]:
        maps[:, :, -1] += 5.0
    torch.testing.assert_close(head(pyramid, points, images).feature, before, rtol=1e-3, atol=1e-3)


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("fsn", 40)[0] >= 0.9
