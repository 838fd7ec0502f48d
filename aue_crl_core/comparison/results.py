"""From the predictions of all runs to what is said of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.comparison.predictions import Predictions
from aue_crl_core.errors import DatasetError
from aue_crl_core.evaluation.bootstrap import Difference, paired_bootstrap
from aue_crl_core.evaluation.metrics import ExpressionMetrics, compute

BASELINE: Final = "softmax"
"""The method that all others are compared with."""


class Spread:
    """Values of several seeds: their mean and standard deviation (of n - 1; None for a single one)."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = tuple(values)
        self.mean = float(np.mean(self.values))
        self.deviation = float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class MethodResult:
    """The finished runs of a method, at least one, by ascending seed; every rate is in [0, 1].

    title: as papers' tables write it. against: accuracy against the baseline's; None for that one, or without it.
    """

    method: str
    title: str
    runs: tuple[Predictions, ...]
    against: Difference | None = None

    @cached_property
    def metrics(self) -> tuple[ExpressionMetrics, ...]:
        """Of each run."""
        return tuple(compute(run.labels, run.probabilities, run.classes) for run in self.runs)

    @property
    def accuracy(self) -> Spread:
        """Over the seeds."""
        return Spread([m.accuracy for m in self.metrics])

    @property
    def mean_class_accuracy(self) -> Spread:
        """Over the seeds."""
        return Spread([m.mean_class_accuracy for m in self.metrics])

    def accuracy_on(self, data: str) -> Spread:
        """On the faces of one of the indices, by its layout."""
        chosen = np.array(self.runs[0].data) == data
        return Spread([float(run.right[chosen].mean()) for run in self.runs])

    @property
    def recall(self) -> dict[str, Spread | None]:
        """Class -> over the seeds; None for a class without a face."""
        rates = {name: [m.per_class_recall[name] for m in self.metrics] for name in self.runs[0].classes}
        return {name: None if None in row else Spread(row) for name, row in rates.items()}  # type: ignore[arg-type]

    @property
    def right(self) -> NDArray[np.float64]:
        """Share of the seeds that are right about each face, N."""
        return np.mean([run.right for run in self.runs], axis=0)


def read_results(directory: Path, methods: Mapping[str, str]) -> list[MethodResult]:
    """The finished runs below `directory` of those `methods` (name -> title) that have any, in their order.

    Raises:
        DatasetError: no run is finished, a file is damaged, or two are of other faces.
    """
    found = {}
    for method in methods:
        files = (directory / "predictions" / method).glob("seed-*.parquet")
        runs = sorted(map(Predictions.read, files), key=lambda run: run.about.seed)
        if runs:
            found[method] = MethodResult(method, methods[method], tuple(runs))
    everyone = [run for result in found.values() for run in result.runs]
    if not everyone:
        raise DatasetError(f"no run in {directory} is finished yet: nothing to report")
    first = everyone[0]
    for run in everyone:
        if (run.classes, run.data, run.images) != (first.classes, first.data, first.images):
            raise DatasetError(
                f"all runs must have been tested on the same faces, got {len(first.images)} of {first.about.method} "
                f"seed {first.about.seed} and {len(run.images)} others of {run.about.method} seed {run.about.seed}; "
                f"remove their files in {directory / 'predictions'} to have them made again"
            )
    baseline = found.get(BASELINE)
    if baseline is None:
        return list(found.values())
    return [
        result
        if result is baseline
        else MethodResult(result.method, result.title, result.runs, paired_bootstrap(result.right, baseline.right))
        for result in found.values()
    ]
