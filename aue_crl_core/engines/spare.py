"""An engine that goes on when memory runs out: smaller batches, then the processor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from aue_crl_core.config import ModelConfig
from aue_crl_core.engines.base import Crops, Engine, EngineOutput, Floats, Precision
from aue_crl_core.errors import DeviceMemoryError

_LOGGER = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class SparingEngine:
    """`engine`, called with fewer faces at a time once its device had no memory for more.

    Where not even one face fits, `spare` makes the engine that replaces it (on the processor); it is called at most
    once. Each such step is a warning in the log of this module, and stays: a device that had no room is likely shared.

    Raises (from `landmarks` and `predict`):
        DeviceMemoryError: one face does not fit, and there is no spare or it has no memory either.
        CheckpointError: see `Engine`.
    """

    def __init__(self, engine: Engine, spare: Callable[[], Engine] | None = None) -> None:
        self._engine = engine
        self._spare = spare
        self._most: int | None = None

    @property
    def name(self) -> str:
        """Of the engine that runs now."""
        return self._engine.name

    @property
    def device(self) -> str:
        """Where it runs now."""
        return self._engine.device

    @property
    def precision(self) -> Precision:
        """What its expression network computes in."""
        return self._engine.precision

    @property
    def config(self) -> ModelConfig:
        """See `Engine`."""
        return self._engine.config

    @property
    def landmark_size(self) -> int:
        """See `Engine`."""
        return self._engine.landmark_size

    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """See `Engine`."""
        parts = self._in_parts(len(crops), lambda engine, part: engine.landmarks(crops[part]))
        points, scores = (_joined(column) for column in zip(*parts, strict=True))
        return points, scores

    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """See `Engine`."""
        parts = self._in_parts(len(crops), lambda engine, part: engine.predict(crops[part], points[part]))
        return (
            parts[0]
            if len(parts) == 1
            else EngineOutput(
                *(np.concatenate([getattr(part, name) for part in parts]) for name in EngineOutput.__slots__)
            )
        )

    def close(self) -> None:
        """See `Engine`."""
        self._engine.close()

    def _in_parts(self, count: int, call: Callable[[Engine, slice], _Result]) -> list[_Result]:
        """What `call` returns for slices of `count` faces, in order; those that fitted are not called again."""
        results: list[_Result] = []
        begin = 0
        while begin < count or not results:
            size = min(count - begin, self._most or count)
            try:
                results.append(call(self._engine, slice(begin, begin + size)))
                begin += size
            except DeviceMemoryError as error:
                self._make_room(size, error)
        return results

    def _make_room(self, tried: int, error: DeviceMemoryError) -> None:
        if tried > 1:
            self._most = tried // 2
            _LOGGER.warning("no memory for %d faces at once on %s; now at most %d", tried, self.device, self._most)
        elif self._spare is not None:
            spare, self._spare = self._spare, None
            left, self._engine = self._engine, spare()
            self._most = None
            left.close()
            _LOGGER.warning(
                "no memory for one face on %s (%s); the networks run on %s now", left.device, error, self.device
            )
        else:
            raise error


def _joined(arrays: Sequence[Floats]) -> Floats:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
