"""Layers on symmetric positive definite (SPD) matrices: Huang and Van Gool, A Riemannian Network for SPD Matrix
Learning, AAAI 2017. Matrices are BxDxD, float32 or float64, with autocast off."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

_ORTHONORMAL_STEPS: Final = 24
_LAST_STEPS: Final = 4
_LOG_TERMS: Final = (
    Chebyshev.interpolate(lambda r: np.log1p(r / 2), 6, domain=[0, 1]).convert(kind=Polynomial).coef.tolist()
)
"""log(1 + r/2) for r in [0, 1] to 4e-8, lowest power first."""


def covariance(maps: Tensor, share: float, least: float) -> Tensor:
    """Covariance of the channels over the cells of maps BxDxHxW, H W at least 2: C + (share tr(C) + least) I, BxDxD.

    Its eigenvalues are at least `share` of its trace (but for the part added), and at least `least`.
    """
    cells = maps.flatten(2)
    centred = cells - cells.mean(dim=2, keepdim=True)
    spread = centred @ centred.transpose(1, 2) / (cells.shape[2] - 1)
    identity = torch.eye(maps.shape[1], dtype=maps.dtype, device=maps.device)
    trace = (spread * identity).sum(dim=(1, 2), keepdim=True)
    return spread + (share * trace + least) * identity


def orthonormal_rows(weight: Tensor) -> Tensor:
    """The matrix with orthonormal rows that is nearest to `weight` DxC (D <= C, full rank): its polar factor.

    By Newton and Schulz's iteration, in products alone: it has a gradient, and exports.
    """
    rows = weight / weight.square().sum().sqrt()
    for _ in range(_ORTHONORMAL_STEPS):
        rows = 1.5 * rows - 0.5 * (rows @ rows.T) @ rows
    return rows


class BiMap(nn.Module):
    """W X W^T with orthonormal rows of W: BxCxC -> BxDxD.

    The paper takes Riemannian steps on W; here any optimiser trains a free matrix, of which W is the polar factor.
    Eigenvalues of the result lie between the smallest and the largest of X.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / math.sqrt(inputs))

    def forward(self, matrices: Tensor) -> Tensor:
        """See the class."""
        rows = orthonormal_rows(self.weight)
        return rows @ matrices @ rows.T


class _RectifiedLog(torch.autograd.Function):
    """f(X) = V f(s) V^T of X = V s V^T, f(s) = log(max(s, least)), with the gradient of Daleckii and Krein: in the
    eigenbasis each entry is multiplied by (f(s_i) - f(s_j)) / (s_i - s_j), f' where the two are (nearly) equal."""

    @staticmethod
    def forward(ctx: FunctionCtx, matrices: Tensor, least: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrices)
        logs = values.clamp(min=least).log()
        ctx.save_for_backward(values, vectors, logs)
        ctx.least = least
        return (vectors * logs[:, None]) @ vectors.transpose(1, 2)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        values, vectors, logs = ctx.saved_tensors
        high, low = values[:, :, None], values[:, None]
        middle = (high + low) / 2
        slope = torch.where(middle > ctx.least, middle.clamp(min=ctx.least).reciprocal(), 0.0)
        near = (high - low).abs() <= torch.finfo(values.dtype).eps ** (1 / 3) * middle.abs().clamp(min=ctx.least)
        quotient = (logs[:, :, None] - logs[:, None]) / torch.where(near, 1.0, high - low)
        inside = vectors.transpose(1, 2) @ ((gradient + gradient.transpose(1, 2)) / 2) @ vectors
        return vectors @ (torch.where(near, slope, quotient) * inside) @ vectors.transpose(1, 2), None


def rectified_log(matrices: Tensor, least: float) -> Tensor:
    """ReEig and LogEig, which are one function of the eigenvalues: the logarithm of BxDxD with those below `least`
    raised to it, `least` above 0. The gradient is finite for equal eigenvalues too."""
    return _RectifiedLog.apply(matrices, least)


def log_by_products(matrices: Tensor, smallest: float) -> Tensor:
    """The logarithm of SPD matrices BxDxD without their eigenvalues: what ONNX, which has no decomposition, can run.

    `smallest` in (0, 1): no eigenvalue is a smaller share of the Frobenius norm. With X_0 = X / |X|, R_k = I - X_k and
    X_{k+1} = X_k (I + R_k / 2)^2, which goes to I, log X_0 = -2 sum_k log(I + R_k / 2), each a short polynomial of R_k;
    R_{k+1} = R_k^2 (3 I + R_k) / 4.
    """
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    size = matrices.square().sum(dim=(1, 2), keepdim=True).sqrt()
    rest, logs = identity - matrices / size, size.log() * identity
    a, b, c, d, e, f, g = _LOG_TERMS
    for _ in range(math.ceil(math.log(1 / smallest) / math.log(2.25)) + _LAST_STEPS):
        square = rest @ rest
        cube = square @ rest
        terms = a * identity + b * rest + c * square + cube @ (d * identity + e * rest + f * square + g * cube)
        logs = logs - 2 * terms
        rest = (3 * square + cube) / 4
    return logs


class UpperTriangle(nn.Module):
    """Symmetric BxDxD -> BxD(D+1)/2: the upper triangle, off the diagonal times sqrt 2, so that norms are kept."""

    def __init__(self, side: int) -> None:
        super().__init__()
        row, column = torch.triu_indices(side, side)
        self.register_buffer("cells", row * side + column, persistent=False)
        self.register_buffer("scale", torch.where(row == column, 1.0, math.sqrt(2)), persistent=False)

    def forward(self, matrices: Tensor) -> Tensor:
        """See the class."""
        return matrices.flatten(1)[:, self.cells] * self.scale
