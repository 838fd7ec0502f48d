"""A second look in the mirror: a face and its mirror image express the same, so their mean is the steadier answer."""

from __future__ import annotations

import numpy as np

from aue_crl_core.engines.base import Crops, Engine, EngineOutput, Floats
from aue_crl_core.faces.crop import mirrored_points


class MirroredEngine:
    """An engine whose answers are the means over each crop and its mirror image, both in one batch.

    It takes twice the time, and answers the same for a mirrored picture. See `Engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.device = engine.device
        self.precision = engine.precision
        self.config = engine.config
        self.landmark_size = engine.landmark_size

    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """See `Engine`."""
        points, scores = self._engine.landmarks(with_mirrored(crops))
        seen, mirrored = np.split(points, 2)
        return (seen + mirrored_points(mirrored, crops.shape[2])) / 2, np.mean(np.split(scores, 2), axis=0)

    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """See `Engine`."""
        there = np.concatenate([points, mirrored_points(points, crops.shape[2])])
        return mean_of_looks(self._engine.predict(with_mirrored(crops), there), 2)

    def close(self) -> None:
        """See `Engine`."""
        self._engine.close()


def mean_of_looks(output: EngineOutput, looks: int) -> EngineOutput:
    """The means over so many looks at B faces: of all B of the first look, then all of the next, and so on."""
    arrays = (getattr(output, name) for name in EngineOutput.__slots__)
    return EngineOutput(*(np.mean(np.split(array, looks), axis=0) for array in arrays))


def with_mirrored(crops: Crops) -> Crops:
    """BxSxSx3 crops, then their mirror images: 2BxSxSx3."""
    return np.concatenate([crops, crops[:, :, ::-1]])
