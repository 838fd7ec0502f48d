"""Files that are readable at any moment, for what grows by pieces: lines, rows, the frames of a film."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from aue_crl_core.errors import OutputError

_ZEROS: Final = bytes(1 << 20)


class GrowingFile:
    """A new file that grows by whole pieces: where one cannot be written, the file ends with the one before.

    It is the binary file that libraries (PyAV, pyarrow) write into. Their calls never fail, so that they always come to
    an orderly end: after a failure, what they write goes nowhere. `end_piece` tells of it.
    """

    def __init__(self, path: Path, name: Path | None = None) -> None:
        """Missing folders are made, an old file is replaced; messages call it `name`, or `path`.

        Raises:
            OSError: the file cannot be made.
        """
        self.path, self.name = path, name or path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)
        self._whole = 0
        self._failure: OSError | None = None

    @property
    def closed(self) -> bool:
        """As of any file."""
        return self._file.closed

    def write(self, data: Any) -> int:
        """Add bytes to the piece that is under way."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        try:
            while rest and self._failure is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failure = error
            with suppress(OSError):  # a pipe or a device
                self._file.truncate(self._whole)
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def flush(self) -> None:
        """Nothing waits: every `write` has arrived."""

    def end_piece(self) -> None:
        """What was written up to now is whole, and stays.

        Raises:
            OutputError: it could not be written, or the file is no longer at its path.
            BrokenPipeError: it is a pipe that nobody reads any more.
        """
        if isinstance(self._failure, BrokenPipeError):
            raise self._failure
        if self._failure is not None:
            raise self._refusal(self._failure) from self._failure
        here = os.fstat(self._file.fileno())
        self._whole = here.st_size
        if stat.S_ISREG(here.st_mode) and not self._is_at_its_path(here):
            raise OutputError(f"{self.name} was removed, moved or replaced while it was written; choose another place")

    def reserve(self, size: int) -> None:
        """Take room for the next `size` bytes.

        Raises:
            OutputError: there is none; the file can go on with what it had reserved before.
        """
        here, end = self._file.tell(), os.fstat(self._file.fileno()).st_size
        try:
            self._file.seek(end)
            while (missing := here + size - self._file.tell()) > 0:
                self._file.write(_ZEROS[:missing])
        except OSError as error:
            self._file.truncate(end)
            raise self._refusal(error) from error
        finally:
            self._file.seek(here)

    def finish_as(self, path: Path) -> None:
        """End the file here, without what is reserved, and give it its name.

        Raises:
            OutputError: see `end_piece`, or it cannot be renamed.
        """
        self._file.truncate()
        self.end_piece()
        try:
            self.path.replace(path)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be renamed to {path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Further calls do nothing."""
        self._file.close()

    def _refusal(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.name} cannot be written any further: {error.strerror or error}; what is in it is whole; "
            "make room, or choose another place"
        )

    def _is_at_its_path(self, here: os.stat_result) -> bool:
        try:
            return os.path.samestat(self.path.stat(), here)
        except OSError:
            return False
