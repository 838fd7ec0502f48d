"""Keeping freed memory: what a training step frees, the next one needs again."""

from __future__ import annotations

import ctypes
import platform
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
_KEEP_BYTES: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep freed blocks for the next step instead of handing them back to the system.

    By default each large tensor is a mapping of its own, whose pages are zeroed anew at every step; without that, CPU
    training steps are 10-25 % faster. The same as MALLOC_MMAP_MAX_=0 with a large MALLOC_TRIM_THRESHOLD_ in the
    environment. It holds for the process from then on, whose resident memory stays at its peak.

    Returns:
        Whether it was done: False where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES))
