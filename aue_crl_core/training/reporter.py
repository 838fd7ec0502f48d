"""Who hears how a run goes: the terminal, a test, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from aue_crl_core.data.index import DatasetIndex


class Reporter(Protocol):
    """Hears how a run goes; what it does not define is not heard."""

    def data(self, indices: Sequence[DatasetIndex]) -> None:
        """The run begins on these, which have a validation split now."""

    def stage(self, name: str, epochs: int, steps: int, first_epoch: int) -> None:
        """A stage begins."""

    def step(self, step: int, loss: float) -> None:
        """A batch is done."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is validated and safe on disk: its row of `metrics.csv`."""

    def features(self, done: int, total: int) -> None:
        """So many of the blocks of frozen features that the next epoch needs are computed."""

    def finished(self, name: str, epochs: int, early: bool) -> None:
        """A stage is done after so many epochs; `early`: its validation score had not become better for `patience`."""

    def skipped(self, name: str) -> None:
        """A stage was finished before."""


class Silent(Reporter):
    """A reporter that says nothing."""
