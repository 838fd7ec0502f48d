"""Datagrams that were lost at this process's UDP sockets, for want of room."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

RECENT_S: Final = 10.0
"""A loss is worth a warning for so long."""
_TABLES: Final = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
_INODE, _DROPS = 9, 12  # columns of a line of these


class DatagramLosses:
    """Datagrams that the kernel dropped at this process's sockets since `begin`; none where it does not tell."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[str, int] = {}
        self._last_s = -RECENT_S
        self.count = 0

    @property
    def recent(self) -> bool:
        """Whether some were dropped in the last `RECENT_S` seconds."""
        return self.count > 0 and self._clock() - self._last_s < RECENT_S

    def begin(self) -> None:
        """Count anew."""
        self._before, self.count = _drops(), 0

    def look(self) -> None:
        """Count what was dropped since the last look."""
        drops = _drops()
        new = sum(number - self._before.get(socket, 0) for socket, number in drops.items())
        self._before = drops
        if new > 0:
            self.count += new
            self._last_s = self._clock()


def _drops() -> dict[str, int]:
    """What the kernel has dropped at each UDP socket of this process, by inode."""
    own = set()
    with suppress(OSError):  # no /proc
        for descriptor in os.scandir("/proc/self/fd"):
            with suppress(OSError):  # closed by now
                own.add(os.readlink(descriptor.path).removeprefix("socket:[").removesuffix("]"))
    drops = {}
    for table in _TABLES:
        with suppress(OSError):
            rows = map(str.split, table.read_text().splitlines()[1:])
            drops |= {row[_INODE]: int(row[_DROPS]) for row in rows if row[_INODE] in own}
    return drops
