"""Faces cut out of the films of a recording, at the times that a report shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.media.reading.ranges import FrameRange
from aue_crl_core.media.reading.sources import VIDEO_SUFFIXES, VideoSource
from aue_crl_core.types import Image

SIDE: Final = 112
"""Pixels."""
_MARGIN: Final = 0.3
_EARLIER_S: Final = 5e-4  # rows have four decimals


def thumbnail(file: Path, time_s: float, box: Iterable[float]) -> Image:
    """The face in `box` (x y w h, pixels) of a film's frame at `time_s`, or of an image, with a margin: `SIDE` square.

    Raises:
        ImageError: the file cannot be read, or ends before that time.
    """
    x, y, w, h = box
    image = _frame(file, time_s)
    side = (1 + _MARGIN) * max(w, h, 1.0)
    scale = SIDE / side
    move = np.array([[scale, 0, SIDE / 2 - scale * (x + w / 2)], [0, scale, SIDE / 2 - scale * (y + h / 2)]])
    return cv2.warpAffine(image, move, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def _frame(file: Path, time_s: float) -> Image:
    if file.suffix.lower() not in VIDEO_SUFFIXES:
        return load_image(file)
    for frame in VideoSource(str(file), FrameRange(start=max(0.0, time_s - _EARLIER_S))):
        return frame.image
    raise ImageError(f"{file} has no frame at {time_s:g} s")
