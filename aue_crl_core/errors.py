"""Exceptions: each message says what was expected, what was got, and what to do."""

from __future__ import annotations


class AueCrlError(Exception):
    """Base of every error that this package raises on purpose; the CLI prints it without a traceback."""


class ConfigError(AueCrlError, ValueError):
    """A setting is out of its range or of the wrong kind."""


class ImageError(AueCrlError, ValueError):
    """An image or video cannot be read, or is of a shape or type that cannot be used."""


class DatasetError(AueCrlError, ValueError):
    """A dataset or its index is incomplete, or does not fit the schema."""


class CheckpointError(AueCrlError, ValueError):
    """A checkpoint is damaged, of another format, or of another vocabulary than was asked for."""


class TrainingError(AueCrlError, RuntimeError):
    """Training cannot go on (a loss that is not finite, a run directory of another run)."""


class MissingDependencyError(AueCrlError, ImportError):
    """An optional dependency is needed here; the message names the extra that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': pip install 'aue-crl[{extra}]'")
