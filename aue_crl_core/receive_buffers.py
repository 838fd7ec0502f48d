"""The kernel's limit on what a socket may hold unread: below it large raw images are lost before any node sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

LIMIT: Final = "net.core.rmem_max"
USUAL: Final = "net.core.rmem_default"
ENOUGH: Final = 32 << 20
"""Bytes: a few raw images of 1920x1080, 6 MB each and twice that in the kernel's books."""
REMEDY: Final = f"sudo sysctl -w {LIMIT}={ENOUGH}"
REMEDY_OF_DEFAULT: Final = f"{REMEDY} {USUAL}={ENOUGH}"
"""For programs that ask for no size, and get the usual one."""
REMEDY_FOR_GOOD: Final = f"echo {LIMIT}={ENOUGH} | sudo tee /etc/sysctl.d/60-large-images.conf"


def receive_limit(root: Path = Path("/proc/sys")) -> int | None:
    """The most that a socket may ask for, bytes; None where the system has no such limit to read."""
    try:
        return int((root / LIMIT.replace(".", "/")).read_text())
    except (OSError, ValueError):
        return None
