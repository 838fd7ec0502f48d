"""A batch on several processor threads: each runs its part of it.

onnxruntime's own threads share one convolution after another, and wait for each other after each: for crops of faces
two of them are little faster than one. Parts of a batch need not wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Sequence[NDArray[Any]]


class BatchSession:
    """A model's two sessions: `whole` puts all threads on one face; `single` computes on the thread that calls it.

    `pool` lends `threads` - 1 more; it is the engine's, for all of its models. Without one (one thread, or a GPU) all
    is `whole`'s.
    """

    def __init__(
        self, whole: Any, single: Any = None, pool: ThreadPoolExecutor | None = None, threads: int = 1
    ) -> None:
        self.whole, self._single, self._pool, self._threads = whole, single, pool, threads

    def run(self, inputs: dict[str, NDArray[Any]]) -> Arrays:
        """All outputs of a batch, whose inputs have one length; errors are onnxruntime's."""
        count = len(next(iter(inputs.values())))
        parts = min(count, self._threads)
        if self._pool is None or parts < 2:
            return self.whole.run(None, inputs)
        bounds = [count * part // parts for part in range(parts + 1)]
        feeds = [{k: v[low:high] for k, v in inputs.items()} for low, high in pairwise(bounds)]
        waiting = [self._pool.submit(self._single.run, None, feed) for feed in feeds[1:]]
        try:
            done = [self._single.run(None, feeds[0])]
        finally:
            rest = [(future.exception(), future) for future in waiting]
        for error, future in rest:
            if error is not None:
                raise error
            done.append(future.result())
        return [np.concatenate(outputs) for outputs in zip(*done, strict=True)]
