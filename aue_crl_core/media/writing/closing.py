"""What writes a file and must complete it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class ClosesOnExit:
    """A context manager whose exit calls `close`."""

    def close(self) -> None:
        """Complete the file; further calls do nothing.

        Raises:
            OutputError: it could not be completed; what is in it can be read.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
