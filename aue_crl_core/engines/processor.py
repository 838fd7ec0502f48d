"""What this machine's processor can do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FASTER_IN_INT8: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Names in Linux's /proc/cpuinfo of instructions that multiply and add eight-bit integers, on x86-64 and on Arm."""
_FASTER_IN_BFLOAT16: Final = frozenset({"avx512_bf16", "amx_bf16"})
"""The same of bfloat16, on x86-64; on Arm it was not tried."""


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def multiplies_int8(facts: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether it has instructions for sums of products of eight-bit integers; False where that cannot be told."""
    return not _FASTER_IN_INT8.isdisjoint(_instructions(facts))


def multiplies_bfloat16(facts: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether it has instructions for sums of products of bfloat16 numbers; False where that cannot be told."""
    return not _FASTER_IN_BFLOAT16.isdisjoint(_instructions(facts))


def _instructions(facts: Path) -> list[str]:
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return next(
        (line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features"))), ""
    ).split()
