"""Files that appear in one piece: a process that is killed, or a disk that is full, leaves the old one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aue_crl_core.errors import OutputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write: beside `path`, whose name the file gets at the end. Missing folders are made.

    Raises:
        OutputError: an OSError within, or it cannot be renamed; nothing is left but the old file.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()
