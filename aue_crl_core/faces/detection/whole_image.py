"""No detector at all: for images that are face crops."""

from __future__ import annotations

from dataclasses import dataclass, field

from aue_crl_core.faces.detection.working import check_image
from aue_crl_core.types import FaceBox, Image


@dataclass
class WholeImageDetector:
    """For images that are face crops already: one box over the whole image."""

    name: str = field(default="none", init=False)
    at_any_roll: None = field(default=None, init=False)

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        check_image(image)
        return [FaceBox(0.0, 0.0, float(image.shape[1]), float(image.shape[0]))]
