"""An exponential moving average of the weights: steadier on small data than the last step's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of the floating-point parameters and buffers of some modules, one lerp a step.

    Early steps average over the steps so far: the decay of step n is min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, modules: list[nn.Module], decay: float) -> None:
        self._live = [t for m in modules for t in (*m.parameters(), *m.buffers()) if t.is_floating_point()]
        self.averages: list[Tensor] = [t.detach().clone() for t in self._live]
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take one step's weights in."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.averages, [t.detach() for t in self._live], 1 - decay)
        self.steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, the modules hold the average."""
        kept = [t.detach().clone() for t in self._live]
        self._copy(self.averages)
        try:
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, values: list[Tensor]) -> None:
        for live, value in zip(self._live, values, strict=True):
            live.copy_(value)
