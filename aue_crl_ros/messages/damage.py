"""What libjpeg says of damaged pictures.

It prints a line each on standard error, at the camera's rate, and OpenCV decodes what it can and does not tell. Here
the lines are taken off standard error, so that they can be counted, and told once in a while.
"""

from __future__ import annotations

import faulthandler
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_STANDARD_ERROR: Final = 2
_LIBJPEG: Final = re.compile(
    rb"^(Corrupt JPEG data: .*|Premature end of JPEG file|Invalid .*JPEG.*|Inconsistent progression sequence .*"
    rb"|Unsupported marker type .*|Warning: unknown JFIF revision .*|Application transferred too .*)$"
)
"""Its warnings (jerror.h)."""

_turn: Final = threading.Lock()
_held: list[int] = []
"""What stands for standard error while a picture is decoded: a file in memory. Empty until `listen`."""


def listen() -> None:
    """Have `words` hear something from now on, in this process; for a node's own programs, not for a library's users.

    Where Python crashes its traceback goes to standard error itself. Without Linux's memfd nothing changes.
    """
    if _held or not hasattr(os, "memfd_create"):
        return
    with suppress(OSError):  # standard error is closed
        faulthandler.enable(os.dup(_STANDARD_ERROR))
        _held.append(os.memfd_create("what decoders say"))


@contextmanager
def words() -> Iterator[list[str]]:
    """Fills the list, at the end, with what libjpeg printed inside; all else that was printed goes on its way then."""
    heard: list[str] = []
    if not _held:
        yield heard
        return
    with _turn:
        kept = os.dup(_STANDARD_ERROR)
        os.dup2(_held[0], _STANDARD_ERROR)
        try:
            yield heard
        finally:
            os.dup2(kept, _STANDARD_ERROR)
            os.close(kept)
            said = _emptied(_held[0])
    if said:
        lines = said.splitlines(keepends=True)
        heard += [line.decode("utf-8", "replace").strip() for line in lines if _LIBJPEG.match(line.rstrip())]
        os.write(_STANDARD_ERROR, b"".join(line for line in lines if not _LIBJPEG.match(line.rstrip())))


def _emptied(held: int) -> bytes:
    size = os.lseek(held, 0, os.SEEK_CUR)
    if size == 0:
        return b""
    said = os.pread(held, size, 0)
    os.ftruncate(held, 0)
    os.lseek(held, 0, os.SEEK_SET)
    return said
