"""Metrics of action units: what is not labelled takes no part, a face that was not found shows no unit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS

THRESHOLD: Final = 0.5
"""A unit counts as seen from this probability."""
UNLABELLED: Final = (-1, 9)


@dataclass(frozen=True)
class UnitMetrics:
    """One action unit over the images where it is labelled; every rate is in [0, 1].

    unit: its FACS code.
    n: images where it is labelled.
    base_rate: share of these where it is seen.
    precision: right / said to be seen; None where it was never said.
    recall: right / labelled as seen; None where it never is.
    f1: 2 TP / (2 TP + FP + FN); None where it is neither labelled nor said to be seen.
    auc: area under the ROC curve, ties count half (Mann-Whitney U), over the images where a face was found; None where
        one of the two answers does not occur there.
    """

    unit: int
    n: int
    base_rate: float
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None


@dataclass(frozen=True)
class ActionUnitMetrics:
    """All units that are labelled somewhere.

    n: images with at least one labelled unit; n_missed: those of them where no face was found (said to show no unit).
    mean_f1, mean_auc, mean_base_rate: means over `units`; for `mean_f1` those that are labelled as seen somewhere, for
        `mean_auc` those that have one. None where there is no such unit.
    """

    n: int
    n_missed: int
    units: tuple[UnitMetrics, ...]
    mean_f1: float | None
    mean_auc: float | None
    mean_base_rate: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the field names; nothing is rounded."""
        return asdict(self) | {"units": [asdict(unit) for unit in self.units]}


def compute_action_units(labels: ArrayLike, probabilities: ArrayLike) -> ActionUnitMetrics:
    """Score AU probabilities against labels.

    Args:
        labels: Nx17 integers in the order of `facs.ACTION_UNITS`: 1 seen, 0 not seen, -1 or 9 not labelled.
        probabilities: Nx17 floats in [0, 1], or a row all NaN for an image where no face was found.

    Raises:
        DatasetError: shapes that do not fit, another label, no label at all, or a probability out of range.
    """
    truth, said = _checked(np.asarray(labels), np.asarray(probabilities, dtype=np.float64))
    found = ~np.isnan(said[:, 0])
    units = tuple(
        _unit(unit, truth[known, i] == 1, said[known, i], found[known])
        for i, unit in enumerate(ACTION_UNITS)
        if (known := truth[:, i] >= 0).any()
    )
    rows = (truth >= 0).any(axis=1)
    return ActionUnitMetrics(
        n=int(rows.sum()),
        n_missed=int((rows & ~found).sum()),
        units=units,
        mean_f1=_mean([u.f1 for u in units if u.base_rate > 0]),
        mean_auc=_mean([u.auc for u in units]),
        mean_base_rate=float(np.mean([u.base_rate for u in units])),
    )


def _unit(unit: int, truth: NDArray[np.bool_], said: NDArray[np.float64], found: NDArray[np.bool_]) -> UnitMetrics:
    seen = found & (np.nan_to_num(said) >= THRESHOLD)
    right, positive, claimed = int((seen & truth).sum()), int(truth.sum()), int(seen.sum())
    return UnitMetrics(
        unit=unit,
        n=len(truth),
        base_rate=positive / len(truth),
        precision=right / claimed if claimed else None,
        recall=right / positive if positive else None,
        f1=2 * right / (positive + claimed) if positive + claimed else None,
        auc=_auc(truth[found], said[found]),
    )


def _auc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _mean(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return float(np.mean(told)) if told else None


def _checked(labels: NDArray[Any], rows: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if labels.ndim != 2 or labels.shape[1] != len(ACTION_UNITS) or rows.shape != labels.shape:
        raise DatasetError(
            f"labels and probabilities must be Nx{len(ACTION_UNITS)}, got {labels.shape} and {rows.shape}"
        )
    if not np.isin(labels, (0, 1, *UNLABELLED)).all():
        raise DatasetError(
            "an AU label must be 0 or 1 (-1 or 9: not labelled), got " + str(sorted(set(labels.flat))[:9])
        )
    truth = np.where(np.isin(labels, UNLABELLED), -1, labels).astype(np.int64)
    if not (truth >= 0).any():
        raise DatasetError("an evaluation of action units needs at least one labelled unit, got none")
    missed = np.isnan(rows).all(axis=1)
    if not ((rows[~missed] >= 0) & (rows[~missed] <= 1)).all():
        raise DatasetError("AU probabilities must be in [0, 1], or a row all NaN where no face was found")
    return truth, rows


def concordance(said: NDArray[np.floating], shown: NDArray[np.floating]) -> float:
    """Lin's concordance correlation coefficient (Biometrics 1989) of two arrays N: 1 only where they are equal."""
    apart = said.var() + shown.var() + (said.mean() - shown.mean()) ** 2
    return float(2 * ((said - said.mean()) * (shown - shown.mean())).mean() / apart) if apart > 0 else 1.0
