"""A batch for both training scripts, the authors' and ours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aue_crl_core.data.dataset import Sample


@dataclass(frozen=True)
class Batch:
    """Random faces of 224 pixels, for both: `places` int64 Bx17x4, the AUs' two centres on their 56x56 map."""

    sample: Sample
    images: Tensor
    places: Tensor
    labels: Tensor

    @classmethod
    def random(cls, size: int, device: str) -> Batch:
        """`size` of them, the same at every call."""
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (size, 3, 224, 224), dtype=torch.uint8, generator=generator)
        points = torch.rand(size, 68, 2, generator=generator) * 223
        labels = torch.randint(0, 7, (size,), generator=generator)
        sample = Sample(pixels, torch.eye(7)[labels], points, torch.ones(size, dtype=torch.bool))
        places = torch.randint(12, 45, (size, 17, 4), generator=generator)
        normal = torch.randn(size, 3, 224, 224, generator=generator)
        return cls(Sample(*(t.to(device) for t in sample)), normal.to(device), places.to(device), labels.to(device))
