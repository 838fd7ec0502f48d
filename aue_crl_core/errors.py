"""Exceptions: each message says what was expected, what was got, and what to do."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_OF_TRAINING: Final = ("torch", "torchvision", "safetensors", "matplotlib")


class AueCrlError(Exception):
    """Base of every error that this package raises on purpose; the CLI prints it without a traceback."""


class ConfigError(AueCrlError, ValueError):
    """A setting is out of its range or of the wrong kind."""


class ImageError(AueCrlError, ValueError):
    """An image or video cannot be read, or is of a shape or type that cannot be used."""


class DatasetError(AueCrlError, ValueError):
    """A dataset or its index is incomplete, or does not fit the schema."""


class OutputError(AueCrlError, OSError):
    """A file of results cannot be written any further, or is no longer where it was begun."""


class BagError(AueCrlError, ValueError):
    """A rosbag is damaged or of another kind, or cannot be written."""


class CheckpointError(AueCrlError, ValueError):
    """A checkpoint is damaged, of another format, or of another vocabulary than was asked for."""


class DeviceMemoryError(AueCrlError, MemoryError):
    """The device has no memory left for what it was to compute."""


class TrainingError(AueCrlError, RuntimeError):
    """Training cannot go on (a loss that is not finite, a run directory of another run)."""


class DownloadError(AueCrlError, OSError):
    """An optional file could not be fetched, or is not the file that was expected."""


class MissingDependencyError(AueCrlError, ImportError):
    """A package is needed here and does not import; the message names what installs it.

    `extra` names the extra that brings `package`; empty for one of the base install. `reason` is the error of a package
    that is installed and fails to import (pyarrow beside a numpy that is too old), else None: see `import_failure`.
    """

    def __init__(self, package: str, extra: str, purpose: str, reason: str | None = None) -> None:
        name = f"aue-crl[{extra}]" if extra else "aue-crl"
        why = f" (it is installed, but does not import: {reason})" if reason else ""
        super().__init__(f"{purpose} needs the package '{package}'{why}: pip install '{name}'")


def import_failure(error: ImportError, package: str) -> str | None:
    """Why an installed `package` failed to import, on one line; None where the package itself is just absent."""
    absent = isinstance(error, ModuleNotFoundError) and error.name == package
    return None if absent else " ".join(str(error).split())


@contextmanager
def training_imports(purpose: str) -> Iterator[None]:
    """Within it is imported what needs the extra `train`, for that `purpose`.

    Raises:
        MissingDependencyError: a package of the extra is absent or does not import.
    """
    try:
        yield
    except MissingDependencyError:
        raise
    except ImportError as error:
        package = error.name if error.name in _OF_TRAINING else "torch"
        raise MissingDependencyError(package, "train", purpose, import_failure(error, package)) from error


class _Brief(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 4, 200, 200
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 24

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write out what has thousands of digits."""
        return repr(x) if x.bit_length() < 200 else f"a whole number of {x.bit_length()} bits"


brief = _Brief().repr
"""`repr` for messages: cut where a value is long or deep, whoever made it."""
