"""Viola and Jones' cascade as OpenCV ships it: the fallback, which needs nothing beside OpenCV."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError
from aue_crl_core.faces.detection.working import (
    DEFAULT_MIN_FACE_PX,
    THUMBNAIL_PX,
    check_image,
    ordered,
    resized,
    smallest_face,
)
from aue_crl_core.types import FaceBox, Image

_CASCADE_FILE: Final = "haarcascade_frontalface_alt2.xml"
_SYSTEM_CASCADES: Final = (
    "/usr/share/opencv4/haarcascades",
    "/usr/local/share/opencv4/haarcascades",
    "/usr/share/opencv/haarcascades",
)
CASCADE_REMEDY: Final = "pip install 'opencv-python-headless<5', or apt install opencv-data"
_LEAST_IMAGE_PX: Final = 12


def find_cascade() -> Path:
    """OpenCV's frontal-face cascade file: from the wheel (`cv2.data`) or the system's `opencv-data`.

    Raises:
        ConfigError: this OpenCV has no cascade classifier, or no such file is installed.
    """
    if not hasattr(cv2, "CascadeClassifier"):
        raise ConfigError(
            f"detector 'cascade' must have cv2.CascadeClassifier, got OpenCV {cv2.__version__} without it; "
            f"{CASCADE_REMEDY}"
        )
    data = getattr(cv2, "data", None)
    folders = [data.haarcascades] if data is not None else []
    folders += _SYSTEM_CASCADES
    for folder in folders:
        path = Path(folder) / _CASCADE_FILE
        if path.is_file():
            return path
    raise ConfigError(f"{_CASCADE_FILE} must be in one of {folders}, got none; {CASCADE_REMEDY}")


def _with_border(image: Image, border: int) -> Image:
    return cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)


@dataclass
class CascadeDetector:
    """Viola and Jones' boosted cascade as OpenCV ships it: no download, a CPU only, near-frontal faces.

    The image is scaled so that its long side is at most `work_px` (a tiny one up, to a short side of 128 px) and gets
    a replicated border of `border` of its short side, without which a face that fills the image is missed: on 300
    tightly cropped photographs recall rose from 95 % to 99 %. Boxes are square, from the forehead to the chin, about
    1.05 times the height of a full face mesh's box and centred 0.08 of it higher. `score` is n / (n + 5), n the
    number of raw hits that agree. The smallest face that can be seen is 20 px in the scaled image; an
    image with a side below 12 px gives none.
    """

    min_face_px: float = DEFAULT_MIN_FACE_PX
    work_px: int = 480
    border: float = 0.2
    scale_step: float = 1.1
    min_neighbours: int = 2
    name: str = field(default="cascade", init=False)
    at_any_roll: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        require(self.min_face_px > 0, "min_face_px", "be above 0", self.min_face_px)
        require(self.work_px >= 64, "work_px", "be at least 64", self.work_px)
        require(0 <= self.border <= 1, "border", "be in [0, 1]", self.border)
        require(1 < self.scale_step <= 2, "scale_step", "be in (1, 2]", self.scale_step)
        require(self.min_neighbours >= 1, "min_neighbours", "be at least 1", self.min_neighbours)
        path = find_cascade()
        self._classifier = cv2.CascadeClassifier(str(path))
        if self._classifier.empty():
            raise ConfigError(f"{path} must be a cascade file that OpenCV {cv2.__version__} can read; {CASCADE_REMEDY}")

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        check_image(image)
        short, long = sorted(image.shape[:2])
        if short < _LEAST_IMAGE_PX:
            return []
        scale = min(self.work_px / long, max(1.0, THUMBNAIL_PX / short))
        grey = cv2.cvtColor(resized(image, scale), cv2.COLOR_RGB2GRAY)
        border = round(self.border * min(grey.shape))
        least = max(20, round(smallest_face(image, self.min_face_px) * scale))
        boxes, counts = self._classifier.detectMultiScale2(
            _with_border(grey, border),
            scaleFactor=self.scale_step,
            minNeighbors=self.min_neighbours,
            minSize=(least, least),
        )
        return ordered(
            FaceBox(
                float(x - border) / scale,
                float(y - border) / scale,
                float(w) / scale,
                float(h) / scale,
                float(n) / (float(n) + 5.0),
            )
            for (x, y, w, h), n in zip(boxes, np.ravel(counts), strict=True)
        )
