"""SPD layers: rows stay orthonormal, equal eigenvalues have a gradient, the logarithm is the same either way."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.methods.spd import (  # noqa: E402
    BiMap,
    UpperTriangle,
    covariance,
    log_by_products,
    orthonormal_rows,
    rectified_log,
)

SHARE, LEAST = 4e-4, 1e-4


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def _maps(*shape: int) -> torch.Tensor:
    """Maps as a network has them: at least 0, channels of different strength that go together."""
    draw = torch.Generator().manual_seed(0)
    mix = torch.randn(shape[1], shape[1], generator=draw) * torch.logspace(0, -2, shape[1])
    return torch.einsum("cd,bdhw->bchw", mix, torch.randn(*shape, generator=draw)).relu()


def _symmetric(values: list[float]) -> torch.Tensor:
    """A matrix 1xDxD with these eigenvalues."""
    draw = torch.Generator().manual_seed(1)
    vectors = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64, generator=draw))[0]
    return (vectors * torch.tensor(values, dtype=torch.float64) @ vectors.T)[None]


def test_the_covariance_is_torchs_own_with_a_share_of_the_trace_added():
    maps = _maps(3, 5, 4, 6)
    for got, cells in zip(covariance(maps, 0.01, 0.5), maps.flatten(2), strict=True):
        plain = torch.cov(cells)
        torch.testing.assert_close(got, plain + (0.01 * plain.trace() + 0.5) * torch.eye(5))


@pytest.mark.parametrize("maps", [_maps(4, 64, 6, 6), _maps(2, 64, 2, 2), torch.zeros(1, 64, 6, 6)])
def test_after_bimap_the_covariance_is_symmetric_and_positive(maps):
    matrices = BiMap(64, 32)(covariance(maps, SHARE, LEAST))
    torch.testing.assert_close(matrices, matrices.transpose(1, 2))
    assert torch.linalg.eigvalsh(matrices.double()).min() > 0.99 * LEAST


def test_rows_stay_orthonormal_after_steps_of_any_size():
    bimap = BiMap(64, 32)
    optimiser = torch.optim.AdamW(bimap.parameters(), lr=0.03, weight_decay=0.1)
    before = orthonormal_rows(bimap.weight).detach()
    for _ in range(20):
        optimiser.zero_grad()
        (rectified_log(bimap(covariance(_maps(4, 64, 6, 6), SHARE, LEAST)), LEAST) ** 2).sum().backward()
        optimiser.step()
    rows = orthonormal_rows(bimap.weight).detach()
    torch.testing.assert_close(rows @ rows.T, torch.eye(32), rtol=0, atol=1e-5)
    assert (rows - before).abs().max() > 0.05, "the rows must have moved"


def test_orthonormal_rows_are_the_polar_factor():
    weight = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(orthonormal_rows(weight), left @ right)


def test_the_logarithm_of_a_matrix_worked_out_by_hand():
    """[[2, 1], [1, 2]] has eigenvalues 1 and 3 along the diagonals of the plane."""
    half = math.log(3) / 2
    got = rectified_log(torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]), LEAST)
    torch.testing.assert_close(got, torch.tensor([[[half, half], [half, half]]]))


def test_eigenvalues_below_the_least_are_raised_to_it():
    values = [1e-7, 0.0, -1e-9, 2.0]
    expected = _symmetric([math.log(max(v, LEAST)) for v in values])
    torch.testing.assert_close(rectified_log(_symmetric(values), LEAST), expected)


@pytest.mark.parametrize(
    "values", [[0.5, 1, 2, 4], [1, 1, 1, 1], [0.3, 0.3, 2, 2], [1, 1 + 1e-6, 3, 4], [1e-6, 1e-7, 0.5, 2]]
)
def test_the_gradient_of_the_logarithm_is_right_for_equal_eigenvalues_too(values):
    def log(free: torch.Tensor) -> torch.Tensor:
        return rectified_log((free + free.transpose(1, 2)) / 2, LEAST)

    assert torch.autograd.gradcheck(log, _symmetric(values).requires_grad_(), eps=1e-8, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("maps", [torch.zeros(2, 64, 6, 6), torch.ones(2, 64, 6, 6), _maps(2, 64, 2, 2)])
def test_gradients_of_flat_and_tiny_maps_are_finite(maps):
    maps, bimap = maps.clone().requires_grad_(), BiMap(64, 32)
    rectified_log(bimap(covariance(maps, SHARE, LEAST)), LEAST).sum().backward()
    assert maps.grad.isfinite().all()
    assert bimap.weight.grad.isfinite().all()


@pytest.mark.parametrize("maps", [_maps(8, 64, 6, 6), 30 * _maps(8, 64, 4, 4), torch.zeros(1, 64, 6, 6)])
def test_the_logarithm_in_products_is_that_of_the_eigenvalues(maps):
    matrices = BiMap(64, 32)(covariance(maps, SHARE, LEAST)).detach()
    exact = rectified_log(matrices.double(), LEAST)
    torch.testing.assert_close(log_by_products(matrices, SHARE / 2).double(), exact, rtol=0, atol=1e-4)


def test_the_upper_triangle_keeps_the_norm():
    matrices = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]])
    torch.testing.assert_close(UpperTriangle(2)(matrices), torch.tensor([[1.0, 2 * math.sqrt(2), 3.0]]))
    symmetric = covariance(_maps(3, 8, 4, 4), SHARE, LEAST)
    torch.testing.assert_close(UpperTriangle(8)(symmetric).norm(dim=1), symmetric.flatten(1).norm(dim=1))
