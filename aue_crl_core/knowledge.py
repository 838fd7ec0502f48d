"""The psychological prior as a learnable table: how likely each action unit is in each expression."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aue_crl_core.facs import VocabularyName, prior_levels


class LearnablePrior(nn.Module):
    """P[expression, AU], trained together with the action unit branch (paper, section III-C).

    `table` float32 Cx17, rows in label order, columns in the order of `facs.ACTION_UNITS`; it begins at 1.0 for primary
    AUs, 0.5 for secondary ones and 0.1 for the others, and lives in [`low`, `high`] (Cx17 buffers); `centre` (Cx17) is
    the middle of that range.
    """

    def __init__(self, vocabulary: VocabularyName) -> None:
        super().__init__()
        levels = prior_levels(vocabulary)
        self.table = nn.Parameter(torch.tensor([[level.start for level in row] for row in levels]))
        self.register_buffer("low", torch.tensor([[level.low for level in row] for row in levels]))
        self.register_buffer("high", torch.tensor([[level.high for level in row] for row in levels]))
        self.register_buffer("centre", torch.tensor([[level.centre for level in row] for row in levels]))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Move every entry back into its range, in place; call it after each optimiser step."""
        self.table.copy_(self.table.clamp(self.low, self.high))

    def targets(self, labels: Tensor) -> Tensor:
        """AU targets float32 Bx17 in [0, 1], with gradient to `table`.

        `labels` int64 B of class indices: each one's row; or float BxC distributions: the expected row.
        """
        return labels @ self.table if labels.is_floating_point() else self.table[labels]
