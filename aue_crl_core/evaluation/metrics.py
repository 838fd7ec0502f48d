"""Metrics of expression recognition, with the images where no face was found counted as errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aue_crl_core.errors import DatasetError

NUM_BINS: Final = 15
_SUM_TOLERANCE: Final = 1e-2


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose top probability lies in [low, high) (the last bin: [low, high]).

    `confidence` is their mean top probability and `accuracy` the share that is right, in [0, 1]; None for an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class ExpressionMetrics:
    """The result of an evaluation; every rate is in [0, 1].

    n: all images, those where no face was found included.
    n_missed: images where no face was found. They have no predicted class, so `confusion` does not hold them; `missed`
        counts them by true class, and `confusion[c]` and `missed[c]` together sum to the images of class c.
    accuracy: right predictions / n.
    per_class_recall: class name -> right predictions / images of the class; None where the class has no image.
    mean_class_accuracy: mean of `per_class_recall` over the classes that have an image (RAF-DB's "average").
    macro_f1: mean of 2 TP / (2 TP + FP + FN) over the classes that occur as truth or as prediction; a missed image is a
        false negative of its class.
    ece: expected calibration error over `reliability` (Guo et al., ICML 2017, eq. 3). A missed image states no
        confidence and takes no part; None where no face was found at all.
    ece_by_chance: what `ece` would come to on average if every confidence were the chance of being right; see
        `calibration_error_by_chance`. As much of `ece` says nothing against the network.
    confusion: C rows of C counts, row = truth, column = prediction, both in the order of `classes`.
    reliability: equal-width bins over the top probability.
    """

    n: int
    accuracy: float
    mean_class_accuracy: float
    per_class_recall: dict[str, float | None]
    macro_f1: float
    ece: float | None
    ece_by_chance: float | None
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    n_missed: int
    missed: tuple[int, ...]
    reliability: tuple[ReliabilityBin, ...]

    @property
    def support(self) -> tuple[int, ...]:
        """Images per true class, missed ones included, in the order of `classes`."""
        return tuple(sum(row) + missed for row, missed in zip(self.confusion, self.missed, strict=True))

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes without an image: they take no part in `mean_class_accuracy`."""
        return tuple(name for name, rate in self.per_class_recall.items() if rate is None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the field names; nothing is rounded."""
        values = asdict(self)
        return values | {
            "confusion": [list(row) for row in self.confusion],
            "classes": list(self.classes),
            "missed": list(self.missed),
            "reliability": list(values["reliability"]),
        }


def compute(labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]) -> ExpressionMetrics:
    """Score predictions against labels.

    Args:
        labels: N integers in [0, C).
        probabilities: NxC floats, each row a distribution over `classes` (its first largest entry is the prediction),
            or all NaN for an image where no face was found.
        classes: the C class names in label order.

    Raises:
        DatasetError: no image, shapes that do not fit, a label out of range, or a row that is neither a distribution
            nor all NaN.
    """
    names = tuple(classes)
    truth, rows = _checked(np.asarray(labels), np.asarray(probabilities), len(names))
    found = ~np.isnan(rows[:, 0])
    predicted = rows[found].argmax(axis=1)
    confidence = rows[found].max(axis=1)

    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (truth[found], predicted), 1)
    missed = np.bincount(truth[~found], minlength=len(names))

    right = confusion.diagonal()
    support = confusion.sum(axis=1) + missed
    per_class = [float(r / s) if s else None for r, s in zip(right.tolist(), support.tolist(), strict=True)]
    either = support + confusion.sum(axis=0)  # 2 TP + FP + FN
    f1 = 2 * right[either > 0] / either[either > 0]
    bins = reliability_bins(confidence, predicted == truth[found])
    return ExpressionMetrics(
        n=len(truth),
        accuracy=float(right.sum() / len(truth)),
        mean_class_accuracy=float(np.mean([r for r in per_class if r is not None])),
        per_class_recall=dict(zip(names, per_class, strict=True)),
        macro_f1=float(f1.mean()),
        ece=calibration_error(bins),
        ece_by_chance=calibration_error_by_chance(bins),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        classes=names,
        n_missed=int(missed.sum()),
        missed=tuple(missed.tolist()),
        reliability=bins,
    )


def _checked(labels: NDArray[Any], rows: NDArray[Any], classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if labels.ndim != 1 or rows.shape != (len(labels), classes):
        raise DatasetError(
            f"labels must be N and probabilities Nx{classes} (one column a class), "
            f"got {labels.shape} and {rows.shape}; check that the weights and the data share a vocabulary"
        )
    if not len(labels):
        raise DatasetError("an evaluation needs at least one labelled image, got 0; check the split's name")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(f"labels must be integers, got {labels.dtype}; drop the images without a label")
    if labels.min() < 0 or labels.max() >= classes:
        raise DatasetError(
            f"labels must be in [0, {classes - 1}], got {labels.min()} to {labels.max()}; check the data's vocabulary"
        )
    values = rows.astype(np.float64)
    missed = np.isnan(values).all(axis=1)
    distribution = (values >= 0).all(axis=1) & (abs(values.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    bad = np.flatnonzero(~(missed | distribution))
    if len(bad):
        raise DatasetError(
            "a row of probabilities must be at least 0 and sum to 1, or be all NaN where no face was found, "
            f"got {rows[bad[0]].tolist()} in row {bad[0]} ({len(bad)} such rows); pass softmax output, not logits"
        )
    return labels.astype(np.int64), values


def reliability_bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """How right answers of a confidence are: N confidences in [0, 1] and N truth values, in `NUM_BINS` bins."""
    edges = np.linspace(0, 1, NUM_BINS + 1)
    place = np.searchsorted(edges[1:-1], confidence, side="right")
    bins = []
    for i in range(NUM_BINS):
        inside = place == i
        count = int(inside.sum())
        bins.append(
            ReliabilityBin(
                low=float(edges[i]),
                high=float(edges[i + 1]),
                count=count,
                confidence=float(confidence[inside].mean()) if count else None,
                accuracy=float(right[inside].mean()) if count else None,
            )
        )
    return tuple(bins)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float | None:
    """The expected calibration error over bins (Guo et al., ICML 2017, eq. 3); None where all are empty."""
    total = sum(b.count for b in bins)
    if not total:
        return None
    filled = ((b.count, b.accuracy, b.confidence) for b in bins)
    return sum(n * abs(a - c) for n, a, c in filled if a is not None and c is not None) / total


def calibration_error_by_chance(bins: Sequence[ReliabilityBin]) -> float | None:
    """What `calibration_error` comes to on average where each bin's confidence is the very chance of being right.

    It is not zero, for so many answers are right by chance more or less often than that, and is larger the fewer they
    are: a binomial's mean absolute deviation (de Moivre, 1730), bin by bin. None where all bins are empty.
    """
    total = sum(b.count for b in bins)
    if not total:
        return None
    return sum(_mean_deviation(b.count, b.confidence) for b in bins if b.confidence is not None) / total


def _mean_deviation(n: int, p: float) -> float:
    """Mean of |X - np|, X of n draws that each are 1 with the probability p."""
    if not 0 < p < 1:
        return 0.0
    m = min(math.floor(n * p) + 1, n)  # n * p may be rounded to n
    choices = math.lgamma(n + 1) - math.lgamma(m + 1) - math.lgamma(n - m + 1)
    return 2 * m * math.exp(choices + m * math.log(p) + (n - m + 1) * math.log1p(-p))
