"""Is one classifier better than another on the same images: a paired bootstrap."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aue_crl_core.errors import DatasetError

RESAMPLES: Final = 10_000
LEVEL: Final = 0.95
"""Of the interval of confidence."""


class Difference(NamedTuple):
    """How much better one is: the mean, its interval at `LEVEL`, and the two-sided p value of there being none."""

    mean: float
    low: float
    high: float
    p: float


def paired_bootstrap(ours: ArrayLike, theirs: ArrayLike, seed: int = 0) -> Difference:
    """Compare two scores of the same N images, drawn again `RESAMPLES` times with replacement (Efron, 1979).

    Args:
        ours: N floats, such as the share of a method's seeds that are right about an image.
        theirs: likewise, of the other method, in the same order.
        seed: the same seed draws the same images.

    Returns:
        mean of ours - theirs; the percentile interval; p, twice the smaller share of draws in which the difference
        vanishes or changes sides, the data itself counted as a draw: never 0.

    Raises:
        DatasetError: no image, or two scores that are not of the same images.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise DatasetError(f"two scores of the same N images are compared, N at least 1, got {a.shape} and {b.shape}")
    # Differences of shares take few values: how often each is drawn says all about a draw.
    values, counts = np.unique(np.round(a - b, 12), return_counts=True)
    if (values.tolist(), counts.tolist()) < ((-values[::-1]).tolist(), counts[::-1].tolist()):
        mean, low, high, p = paired_bootstrap(b, a, seed)  # the same draws, whichever of the two is named first
        return Difference(-mean, -high, -low, p)
    drawn = np.random.default_rng(seed).multinomial(len(a), counts / len(a), RESAMPLES) @ values / len(a)
    drawn = np.round(drawn, 12)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    tail = (1 + min((drawn <= 0).sum(), (drawn >= 0).sum())) / (1 + RESAMPLES)
    return Difference(float(values @ counts / len(a)), float(low), float(high), float(min(1.0, 2 * tail)))
