"""Finding the box and the 68 points of the labelled face in a dataset image."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np

from aue_crl_core.errors import MissingDependencyError
from aue_crl_core.types import FaceBox, Image, Points

MESH_TO_IBUG: Final = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
)
"""The vertex of mediapipe's 468-point face mesh that stands for each iBUG point."""


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A box (image pixels) and 68x2 points (image pixels)."""

    box: FaceBox
    points: Points


class FaceFinder(Protocol):
    """Finds the face that a label speaks of: the one nearest to `box`, else the largest."""

    name: str

    def __call__(self, image: Image, box: FaceBox | None) -> FoundFace | None:
        """`image` HxWx3 uint8 RGB; `None` when no face is found."""
        ...


class MediapipeFinder:
    """mediapipe's face mesh (legacy solutions API, models inside the wheel), on the padded, upscaled face."""

    name = "mediapipe"
    _WORKING_SIZE: Final = 256
    _PADDING: Final = 0.35
    _MAX_FACES: Final = 5

    def __init__(self) -> None:
        try:
            with _quiet_stderr():
                from mediapipe.python.solutions.face_mesh import FaceMesh
        except ImportError as error:
            raise MissingDependencyError("mediapipe", "landmarks", "finding face points for training data") from error
        with _quiet_stderr():
            self._mesh = FaceMesh(static_image_mode=True, max_num_faces=self._MAX_FACES, min_detection_confidence=0.3)
            self._mesh.process(np.zeros((self._WORKING_SIZE, self._WORKING_SIZE, 3), dtype=np.uint8))
        self._warm = False

    def __call__(self, image: Image, box: FaceBox | None) -> FoundFace | None:
        """See `FaceFinder`."""
        padded, scale, pad = self._padded(image)
        with nullcontext() if self._warm else _quiet_stderr():
            found = self._mesh.process(padded).multi_face_landmarks
        self._warm = self._warm or bool(found)
        if not found:
            return None
        size = np.array(padded.shape[1::-1], dtype=np.float32)
        faces = []
        for face in found:
            mesh = np.array([(face.landmark[i].x, face.landmark[i].y) for i in MESH_TO_IBUG], dtype=np.float32)
            faces.append((mesh * size - pad + 0.5) / scale - 0.5)
        points = min(faces, key=lambda p: _distance(p, box))
        return FoundFace(FaceBox.around(points), points.astype(np.float32))

    def _padded(self, image: Image) -> tuple[Image, float, int]:
        scale = max(1.0, self._WORKING_SIZE / max(image.shape[:2]))
        if scale > 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        pad = round(self._PADDING * max(image.shape[:2]))
        return cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE), scale, pad


class OwnFinder:
    """The shipped landmark net on the default detector's boxes: no better than those weights, needs no mediapipe.

    Raises:
        CheckpointError: the shipped weights are not there.
        ConfigError: no detector works here.
    """

    name = "landmark_net"

    def __init__(self) -> None:
        from aue_crl_core.analyzer import FaceAnalyzer

        self._analyzer = FaceAnalyzer.load("edge", "onnx", "cpu", threads=1)

    def __call__(self, image: Image, box: FaceBox | None) -> FoundFace | None:
        """See `FaceFinder`; a given box is believed if the landmark net sees a face in it."""
        if box is not None:
            face = self._analyzer.in_boxes([image], [box])[0].face
            if face.score >= self._analyzer.config.min_face_score:
                return FoundFace(face.box, face.points)
        faces = self._analyzer.find([image])[0]
        if not faces:
            return None
        points = min((face.points for face in faces), key=lambda p: _distance(p, box))
        return FoundFace(FaceBox.around(points), points)


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop what goes to the process's standard error: mediapipe's C++ side logs there until its first face."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _distance(points: Points, box: FaceBox | None) -> float:
    """Sort key: distance of the face's middle from the box's, or (negated) its size where there is no box."""
    low, high = points.min(axis=0), points.max(axis=0)
    if box is None:
        return -float((high - low).max())
    middle = np.array([box.x + box.w / 2, box.y + box.h / 2])
    return float(np.linalg.norm((low + high) / 2 - middle))
