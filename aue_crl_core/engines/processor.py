"""What this machine's processor can do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FASTER_IN_INT8: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Names in Linux's /proc/cpuinfo of instructions that multiply and add eight-bit integers, on x86-64 and on Arm."""


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def multiplies_int8(facts: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether it has instructions for sums of products of eight-bit integers; False where that cannot be told."""
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features"))), "")
    return not _FASTER_IN_INT8.isdisjoint(flags.split())
