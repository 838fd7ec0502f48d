"""The expression branch sees every scale."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from aue_crl_core.networks.expression_branch import ExpressionBranch  # noqa: E402

CHANNELS = (2, 3, 4, 5)


def _pyramid(batch: int = 2, side: int = 3) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(batch, c, side * k, side * k) for c, k in zip(CHANNELS, (8, 4, 2, 1), strict=True))


def test_feature_and_logits_follow_the_papers_table():
    branch, pyramid = ExpressionBranch(CHANNELS, feature_dim=6, classes=7).eval(), _pyramid()
    feature, logits = branch(pyramid)
    pooled = torch.cat([F.max_pool2d(m, m.shape[-1] // 3) for m in pyramid], dim=1)
    normed = F.local_response_norm(pooled, 2, alpha=2e-4)
    convolution, normalisation, _ = branch.reduce
    expected = F.adaptive_avg_pool2d(F.relu(normalisation(convolution(normed))), 1).flatten(1)
    torch.testing.assert_close(feature, expected)
    torch.testing.assert_close(logits, branch.classifier(expected))
    assert feature.shape == (2, 6)
    assert logits.shape == (2, 7)


@pytest.mark.parametrize("scale", range(4))
def test_every_scale_reaches_the_decision(scale):
    branch, pyramid = ExpressionBranch(CHANNELS, 16, 7).eval(), _pyramid()
    changed = tuple(m * 3 if i == scale else m for i, m in enumerate(pyramid))
    assert not torch.allclose(branch(pyramid)[1], branch(changed)[1])


def test_an_11_class_head_has_11_logits():
    assert ExpressionBranch(CHANNELS, 6, classes=11)(_pyramid())[1].shape == (2, 11)
