"""MediaPipe's BlazeFace, for environments that have mediapipe: to prepare data, and to compare with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from aue_crl_core.config import require
from aue_crl_core.errors import MissingDependencyError
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX, check_image, ordered, smallest_face
from aue_crl_core.types import FaceBox, Image


@dataclass
class MediapipeDetector:
    """MediaPipe's BlazeFace (short range), for preparing data; extra `landmarks`.

    Fast, but for near faces only: it misses most of those narrower than a fifth of the image.
    """

    min_face_px: float = DEFAULT_MIN_FACE_PX
    score_threshold: float = 0.5
    name: str = field(default="mediapipe", init=False)
    at_any_roll: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        require(self.min_face_px > 0, "min_face_px", "be above 0", self.min_face_px)
        require(0 < self.score_threshold < 1, "score_threshold", "be in (0, 1)", self.score_threshold)
        try:
            from mediapipe.python.solutions.face_detection import FaceDetection
        except ImportError as error:
            raise MissingDependencyError("mediapipe", "landmarks", "detector 'mediapipe'") from error
        self._network = FaceDetection(model_selection=0, min_detection_confidence=self.score_threshold)

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        check_image(image)
        height, width = image.shape[:2]
        least = smallest_face(image, self.min_face_px)
        boxes = []
        for detection in self._network.process(np.ascontiguousarray(image)).detections or ():
            relative = detection.location_data.relative_bounding_box
            boxes.append(
                FaceBox(
                    relative.xmin * width,
                    relative.ymin * height,
                    relative.width * width,
                    relative.height * height,
                    min(1.0, float(detection.score[0])),
                )
            )
        return ordered(box for box in boxes if max(box.w, box.h) >= least)
