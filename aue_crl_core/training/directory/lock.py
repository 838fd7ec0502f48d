"""One training at a time in a run's directory."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aue_crl_core.errors import TrainingError

LOCK_FILE: Final = ".lock"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """No other process trains in `directory`, which is made, while the block lasts.

    The lock is this process's own: it ends with it, however it ends, and workers that outlive it by a moment do not
    have it. Where the system or the disk knows no such locks, there is none.

    Raises:
        TrainingError: another process has it; the message says which.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if os.name != "posix":
        yield
        return
    import fcntl

    with (directory / LOCK_FILE).open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # which of both, POSIX leaves to the system
            file.seek(0)
            who = file.read().strip() or "it has just begun"
            raise TrainingError(
                f"another training is under way in {directory} ({who}); wait for it, end it, or choose another --output"
            ) from error
        except OSError:  # a disk without locks
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield
