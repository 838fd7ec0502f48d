"""AU regions: where they are, what is cut, and that cutting all at once equals cutting one by one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from aue_crl_core import facs  # noqa: E402
from aue_crl_core.config import ModelConfig, Preprocessing  # noqa: E402
from aue_crl_core.networks.action_unit_branch import ActionUnitBranch, Decoder, RegionWindows  # noqa: E402

PAPER = (224, 56, 24)
EDGE = (96, 24, 10)
GEOMETRIES = [PAPER, EDGE, (64, 16, 5), (64, 16, 16)]
CHANNELS = (4, 5, 6, 7)
SMALL = ModelConfig(
    preprocessing=Preprocessing(input_size=64),
    feature_dim=8,
    decoder_channels=(6, 5, 4),
    region_size=6,
    region_channels=3,
    region_dim=5,
    fusion_dim=7,
)


def _points(size: int, batch: int = 3, seed: int = 0) -> torch.Tensor:
    spread = 1.3 * size
    return torch.rand(batch, 68, 2, generator=torch.Generator().manual_seed(seed)) * spread - 0.15 * size


def _pyramid(batch: int = 2, side: int = 2) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(batch, c, side * k, side * k) for c, k in zip(CHANNELS, (8, 4, 2, 1), strict=True))


def _centre_by_hand(points: np.ndarray, unit: int, side: int, size: int, map_size: int, window: int) -> list[int]:
    middle = points[list(facs.REGION_CENTRES[unit][side])].astype(np.float64).mean(axis=0)
    low, high = window // 2, map_size - (window - window // 2)
    return [int(min(max(np.round(v / size * map_size), low), high)) for v in middle]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_centres_are_the_named_points_or_their_midpoints_rounded_and_kept_on_the_map(geometry):
    points = _points(geometry[0])
    centres = RegionWindows(*geometry).centres(points)
    assert centres.shape == (3, 34, 2)
    assert centres.dtype == torch.int64
    for sample in range(3):
        for i, unit in enumerate(facs.ACTION_UNITS):
            for side in range(2):
                expected = _centre_by_hand(points[sample].numpy(), unit, side, *geometry)
                assert centres[sample, 2 * i + side].tolist() == expected, (unit, side)


def test_on_the_papers_map_a_centre_lies_in_12_to_44():
    centres = RegionWindows(*PAPER).centres(_points(224, batch=50))
    assert centres.min() == 12
    assert centres.max() == 44


def test_known_centres_on_the_papers_map():
    points = torch.zeros(1, 68, 2)
    points[0, 21], points[0, 22] = torch.tensor([96.0, 80.0]), torch.tensor([128.0, 82.0])
    points[0, 19], points[0, 24] = torch.tensor([60.0, 70.0]), torch.tensor([164.0, 90.0])
    centres = RegionWindows(*PAPER).centres(points)[0].unflatten(0, (17, 2))
    assert centres[facs.ACTION_UNITS.index(1)].tolist() == [[24, 20], [32, 20]]
    assert centres[facs.ACTION_UNITS.index(4)].tolist() == [[28, 20], [28, 20]]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_gather_equals_slicing_window_by_window(geometry):
    size, map_size, window = geometry
    cut = RegionWindows(*geometry)
    maps, points = torch.randn(3, 4, map_size, map_size), _points(size)
    windows = cut(maps, points)
    assert windows.shape == (3, 34, 4, window, window)
    for sample in range(3):
        for region, (x, y) in enumerate(cut.centres(points)[sample].tolist()):
            top, left = y - window // 2, x - window // 2
            expected = maps[sample, :, top : top + window, left : left + window]
            assert torch.equal(windows[sample, region], expected)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_infinity=True, allow_nan=True), min_size=136, max_size=136))
def test_no_points_whatever_take_a_window_off_the_map(values):
    points = torch.tensor(values).view(1, 68, 2)
    centres = RegionWindows(*EDGE).centres(points)
    assert centres.min() >= 5
    assert centres.max() <= 19


def test_the_windows_of_a_mirrored_face_are_the_mirrored_windows_of_the_other_side():
    """Where the two centres of an AU mirror each other, or both lie on the midline."""
    size, map_size, _ = EDGE
    cut = RegionWindows(*EDGE)
    maps = torch.randn(1, 4, map_size, map_size)
    points = torch.randint(0, map_size + 1, (1, 68, 2), generator=torch.Generator().manual_seed(3)) * 4.0
    mirror = torch.tensor(facs.MIRRORED_POINTS)
    for i, j in enumerate(facs.MIRRORED_POINTS):
        points[:, j, 0] = size / 2 if i == j else size - points[:, i, 0]
        points[:, j, 1] = points[:, i, 1]
    mirrored_points = torch.stack([size - points[:, mirror, 0], points[:, mirror, 1]], dim=2)
    torch.testing.assert_close(mirrored_points, points)

    before = cut(maps, points).unflatten(1, (17, 2))
    after = cut(maps.flip(3), mirrored_points).unflatten(1, (17, 2))
    checked = 0
    for i, unit in enumerate(facs.ACTION_UNITS):
        first, second = (set(centre) for centre in facs.REGION_CENTRES[unit])
        mirrored = {facs.MIRRORED_POINTS[p] for p in first}
        other = {frozenset(second): 1, frozenset(first): 0}.get(frozenset(mirrored))
        if other is not None:
            assert torch.equal(after[0, i, other], before[0, i, 0].flip(2)), unit
            checked += 1
    assert checked == 15


def test_the_gradient_of_the_windows_counts_how_often_a_cell_was_cut():
    cut = RegionWindows(*EDGE)
    maps, points = torch.zeros(2, 1, 24, 24, requires_grad=True), _points(96, batch=2)
    cut(maps, points).sum().backward()
    expected = torch.zeros(2, 1, 24, 24)
    for sample in range(2):
        for x, y in cut.centres(points)[sample].tolist():
            expected[sample, :, y - 5 : y + 5, x - 5 : x + 5] += 1
    assert torch.equal(maps.grad, expected)


@pytest.mark.parametrize("upsampling", ["deconvolution", "nearest"])
def test_the_decoder_comes_back_to_the_stride_4_map(upsampling):
    decoder = Decoder(CHANNELS, (6, 5, 4), upsampling).eval()
    pyramid = _pyramid()
    assert decoder(pyramid).shape == (2, 4, 16, 16)

    coarse = pyramid[3]
    for i, fine in enumerate((pyramid[2], pyramid[1], pyramid[0])):
        up = decoder.upsample[i](coarse) if upsampling == "deconvolution" else F.interpolate(coarse, scale_factor=2)
        if upsampling == "deconvolution":
            assert up.shape == fine.shape
        coarse = decoder.merge[i](torch.cat([fine, up], dim=1))
    torch.testing.assert_close(decoder(pyramid), F.local_response_norm(coarse, 2, alpha=2e-4))


@pytest.mark.parametrize("pool", [None, 6, 3, 1])
def test_all_regions_at_once_equal_one_region_after_the_other(pool):
    branch = ActionUnitBranch(CHANNELS, dataclasses.replace(SMALL, region_pool=pool)).eval()
    pyramid, points = _pyramid(), _points(64, batch=2)
    logits, vectors, intensities = branch(pyramid, points)
    assert intensities.shape == (2, 0)
    assert logits.shape == (2, 17)
    assert vectors.shape == (2, 17, 2, 5)

    windows = branch.windows(branch.decoder(pyramid), points)
    conv, linear = branch.region_conv, branch.region_linear
    by_hand = []
    for r in range(34):
        own = slice(3 * r, 3 * r + 3)
        region = F.relu(F.conv2d(windows[:, r], conv.weight[own], conv.bias[own], padding=1))
        region = F.adaptive_avg_pool2d(region, pool or 6).flatten(1)
        by_hand.append(F.relu(region @ linear.weight[r] + linear.bias[r]))
    torch.testing.assert_close(vectors, torch.stack(by_hand, dim=1).unflatten(1, (17, 2)))
    torch.testing.assert_close(logits, branch.classifier(torch.cat(by_hand, dim=1)))


def test_evidence_is_seen_in_the_regions_the_whole_face_and_the_points():
    branch = ActionUnitBranch(CHANNELS, dataclasses.replace(SMALL, knowledge="odds")).eval()
    pyramid, points, feature = _pyramid(), _points(64, batch=2), torch.rand(2, SMALL.feature_dim)
    logits, vectors, _ = branch(pyramid, points, feature)
    assert logits.shape == (2, 17)
    assert vectors.shape == (2, 17, 2, 5)
    assert not torch.allclose(branch(pyramid, points, feature + 1)[0], logits)
    assert not torch.allclose(branch(pyramid, points + 0.3, feature)[0], logits)  # in the same cells: the same regions
    assert not torch.allclose(branch(tuple(m + 1 for m in pyramid), points, feature)[0], logits)


def test_a_sample_does_not_see_its_neighbours_in_the_batch():
    branch = ActionUnitBranch(CHANNELS, SMALL).eval()
    pyramid, points = _pyramid(), _points(64, batch=2)
    alone = branch(tuple(m[1:] for m in pyramid), points[1:])
    together = branch(pyramid, points)
    torch.testing.assert_close(together[0][1:], alone[0])
    torch.testing.assert_close(together[1][1:], alone[1])


def test_dropout_is_on_the_region_vectors_and_only_in_training():
    branch = ActionUnitBranch(CHANNELS, dataclasses.replace(SMALL, dropout=0.9))
    pyramid, points = _pyramid(), _points(64, batch=2)
    branch.train()
    assert (branch(pyramid, points)[1] == 0).float().mean() > 0.8
    branch.eval()
    assert torch.equal(branch(pyramid, points)[1], branch(pyramid, points)[1])
