"""Whether a face's eyes and mouth can be seen, or are covered: by a mask, a hand, dark glasses, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.engines import WEIGHTS_DIRECTORY
from aue_crl_core.engines.base import check_intact
from aue_crl_core.errors import CheckpointError
from aue_crl_core.onnx_session import make_session
from aue_crl_core.types import Image

MODEL: Final = WEIGHTS_DIRECTORY / "visibility.onnx"
SIZE: Final = 48
"""Side of what the network sees of a crop, pixels."""


class VisibleParts(NamedTuple):
    """Probabilities, in [0, 1], that both `eyes` and that the `mouth` of a face can be seen."""

    eyes: float
    mouth: float


def visible_parts(crops: Sequence[Image]) -> list[VisibleParts]:
    """What can be seen of each face, in one batch; `crops` SxSx3 uint8 RGB, canonical (see `faces.crop`). Of its
    luminance alone.

    Raises:
        CheckpointError: the network's file, with which the package comes, is missing or damaged.
    """
    if not crops:
        return []
    (visible,) = _network(MODEL).run(None, {"grey": np.stack([as_seen(crop) for crop in crops])})
    return [VisibleParts(*row) for row in visible.tolist()]


def load_visibility() -> None:
    """Load the network now, so that what is wrong with its file is known before the first face.

    Raises:
        CheckpointError: see `visible_parts`.
    """
    _network(MODEL)


def as_seen(crop: Image) -> NDArray[np.uint8]:
    """What the network sees of an SxSx3 RGB crop: 48x48, its luminance."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=1)
def _network(path: Path) -> Any:
    """The network, loaded once a process."""
    if not path.is_file():
        raise CheckpointError(f"no network for what is visible at {path}, with which this package comes")
    check_intact(path)
    return make_session(path, threads=1)
