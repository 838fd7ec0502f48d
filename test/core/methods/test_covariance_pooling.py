"""CP: the head is the chain of the paper's layers, and learns."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.methods.covariance_pooling import LEAST, SHARE, CovariancePooling  # noqa: E402
from aue_crl_core.methods.spd import orthonormal_rows  # noqa: E402

CHANNELS = (4, 6, 8, 10)


def _inputs(batch: int) -> tuple:
    pyramid = tuple(torch.randn(batch, c, 24 // 2**i, 24 // 2**i) for i, c in enumerate(CHANNELS))
    return pyramid, torch.rand(batch, 68, 2) * 96, torch.randn(batch, 3, 96, 96)


def test_the_head_is_covariance_bimap_reeig_logeig_one_face_after_the_other():
    torch.manual_seed(0)
    head = CovariancePooling(ModelConfig(feature_dim=16), CHANNELS).eval()
    pyramid, points, images = _inputs(3)
    rows = orthonormal_rows(head.bimap.weight)
    vectors = []
    for cells in head.join(pyramid).flatten(2):
        matrix = torch.cov(cells)
        matrix = rows @ (matrix + (SHARE * matrix.trace() + LEAST) * torch.eye(64)) @ rows.T
        values, basis = torch.linalg.eigh(matrix)
        log = basis @ values.clamp(min=LEAST).log().diag() @ basis.T
        vectors.append(torch.stack([log[i, j] * (1 if i == j else 2**0.5) for i in range(32) for j in range(i, 32)]))
    logits, feature = head.decision(torch.stack(vectors))
    output = head(pyramid, points, images)
    torch.testing.assert_close(output.feature, feature, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.logits, logits, rtol=1e-4, atol=1e-4)


def test_under_autocast_matrices_stay_float32():
    torch.manual_seed(0)
    head = CovariancePooling(ModelConfig(feature_dim=16), CHANNELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = head(*_inputs(2))
    output.logits.sum().backward()
    assert output.feature.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("covariance_pooling", 40)[0] >= 0.9
