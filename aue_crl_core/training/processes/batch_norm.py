"""Batch normalisation over the rows of all processes: torch's own on GPUs, one of ours on CPUs, which torch's refuses.

Parameters, buffers and their names are those of `nn.BatchNorm1d` and `nn.BatchNorm2d`, so checkpoints are too.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from aue_crl_core.training.processes.processes import Processes

_backward: Final = torch.ops.aten.native_batch_norm_backward


def share_statistics(network: nn.Module, processes: Processes) -> None:
    """Have every batch normalisation of `network`, in training mode, see the rows of all processes.

    Every process must bring as many rows. The modules are replaced, with their parameters and buffers as they are.
    """
    if not processes.several:
        return
    if torch.device(processes.device).type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, SharedBatchNorm(child, processes.world_size))


class SharedBatchNorm(_BatchNorm):
    """Batch normalisation BxC or BxCxHxW whose batch is that of `world_size` processes with B rows each."""

    def __init__(self, local: _BatchNorm, world_size: int) -> None:
        super().__init__(local.num_features, local.eps, local.momentum, local.affine, local.track_running_stats)
        self.weight, self.bias = local.weight, local.bias
        self.running_mean, self.running_var = local.running_mean, local.running_var
        self.num_batches_tracked = local.num_batches_tracked
        self.world_size = world_size
        self.train(local.training)

    def _check_input_dim(self, inputs: Tensor) -> None:
        if inputs.ndim not in (2, 4):
            raise ValueError(f"inputs must be BxC or BxCxHxW, got {tuple(inputs.shape)}")

    @torch.compiler.disable
    def forward(self, inputs: Tensor) -> Tensor:
        """See the class."""
        if not self.training:
            return super().forward(inputs)
        self._check_input_dim(inputs)
        outputs, mean, variance = _Normalise.apply(inputs, self.weight, self.bias, self.eps, self.world_size)
        count = inputs.numel() // inputs.shape[1] * self.world_size
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return outputs


class _Normalise(torch.autograd.Function):
    """Inputs, weight C, bias C -> outputs, mean C and biased variance C of all processes' inputs."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, eps: float, world_size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        exact = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        local = torch.stack(torch.var_mean(exact, [0, *range(2, inputs.ndim)], correction=0))
        parts = [torch.empty_like(local) for _ in range(world_size)]
        dist.all_gather(parts, local)
        variances, means = torch.stack(parts).unbind(dim=1)
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)
        ctx.save_for_backward(inputs, weight, mean, variance)
        ctx.eps, ctx.count = eps, inputs.numel() // inputs.shape[1] * world_size
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(inputs, mean, variance, weight, bias, False, 0.0, eps), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """With u = (x - mean) / std: dx = weight / std (dy - E[dy] - u E[dy u]), both means over all processes; the
        first term, and the sums of dy and dy u, are the backward pass of a normalisation by constants."""
        inputs, weight, mean, variance = ctx.saved_tensors
        direct, for_weight, for_bias = _backward(
            gradient, inputs, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([for_weight, for_bias])
        dist.all_reduce(sums)
        inverse = (variance + ctx.eps).rsqrt()
        slope = -weight * inverse.square() * sums[0] / ctx.count
        offset = -weight * inverse * sums[1] / ctx.count - slope * mean
        form = [-1, *[1] * (inputs.ndim - 2)]
        through_statistics = inputs * slope.view(form) + offset.view(form)
        return (direct + through_statistics).to(inputs.dtype), for_weight, for_bias, None, None
