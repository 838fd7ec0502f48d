"""Where the faces are: one protocol, four ways."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import cv2
import numpy as np

from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError, ImageError, MissingDependencyError
from aue_crl_core.faces.downloads import YUNET, cache_directory, fetched
from aue_crl_core.types import FaceBox, Image

DetectorName = Literal["auto", "cascade", "yunet", "mediapipe", "none"]

DEFAULT_MIN_FACE_PX: Final = 40.0
_CASCADE_FILE: Final = "haarcascade_frontalface_alt2.xml"
_SYSTEM_CASCADES: Final = (
    "/usr/share/opencv4/haarcascades",
    "/usr/local/share/opencv4/haarcascades",
    "/usr/share/opencv/haarcascades",
)
_CASCADE_REMEDY: Final = "pip install 'opencv-python-headless<5', or apt install opencv-data"
_FETCH_COMMAND: Final = "aue-crl doctor --fetch yunet"
_THUMBNAIL_PX: Final = 128
_THUMBNAIL_FACE: Final = 0.3
_LEAST_IMAGE_PX: Final = 12


class FaceDetector(Protocol):
    """Finds faces in one image. An instance keeps scratch state: use one per thread."""

    name: str

    def __call__(self, image: Image) -> list[FaceBox]:
        """Boxes in image pixels, surest and largest first (score times area); a box may leave the image a little.

        `image` HxWx3 uint8 RGB.

        Raises:
            ImageError: the image is of another shape or type, or empty.
        """
        ...


def _check_image(image: Image) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"image must be an HxWx3 uint8 RGB array, got {got}; convert it first")
    if image.size == 0:
        raise ImageError(f"image must have at least one pixel, got shape {image.shape}")


def _smallest_face(image: Image, min_face_px: float) -> float:
    """Side in pixels: `min_face_px`, but in thumbnails no more than a part of their short side."""
    short = min(image.shape[:2])
    return min_face_px if short >= _THUMBNAIL_PX else min(min_face_px, _THUMBNAIL_FACE * short)


def _resize(image: Image, scale: float) -> Image:
    """`image` at about `scale`, at least one pixel a side."""
    if scale == 1:
        return image
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _with_border(image: Image, border: int) -> Image:
    return cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)


def _ordered(boxes: Iterable[FaceBox]) -> list[FaceBox]:
    return sorted(boxes, key=lambda box: box.score * box.w * box.h, reverse=True)


def find_cascade() -> Path:
    """OpenCV's frontal-face cascade file: from the wheel (`cv2.data`) or the system's `opencv-data`.

    Raises:
        ConfigError: this OpenCV has no cascade classifier, or no such file is installed.
    """
    if not hasattr(cv2, "CascadeClassifier"):
        raise ConfigError(
            f"detector 'cascade' must have cv2.CascadeClassifier, got OpenCV {cv2.__version__} without it; "
            f"{_CASCADE_REMEDY}"
        )
    data = getattr(cv2, "data", None)
    folders = [data.haarcascades] if data is not None else []
    folders += _SYSTEM_CASCADES
    for folder in folders:
        path = Path(folder) / _CASCADE_FILE
        if path.is_file():
            return path
    raise ConfigError(f"{_CASCADE_FILE} must be in one of {folders}, got none; {_CASCADE_REMEDY}")


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

    def __post_init__(self) -> None:
        require(self.min_face_px > 0, "min_face_px", "be above 0", self.min_face_px)
        require(self.work_px >= 64, "work_px", "be at least 64", self.work_px)
        require(0 <= self.border <= 1, "border", "be in [0, 1]", self.border)
        require(1 < self.scale_step <= 2, "scale_step", "be in (1, 2]", self.scale_step)
        require(self.min_neighbours >= 1, "min_neighbours", "be at least 1", self.min_neighbours)
        path = find_cascade()
        self._classifier = cv2.CascadeClassifier(str(path))
        if self._classifier.empty():
            raise ConfigError(
                f"{path} must be a cascade file that OpenCV {cv2.__version__} can read; {_CASCADE_REMEDY}"
            )

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        _check_image(image)
        short, long = sorted(image.shape[:2])
        if short < _LEAST_IMAGE_PX:
            return []
        scale = min(self.work_px / long, max(1.0, _THUMBNAIL_PX / short))
        grey = cv2.cvtColor(_resize(image, scale), cv2.COLOR_RGB2GRAY)
        border = round(self.border * min(grey.shape))
        least = max(20, round(_smallest_face(image, self.min_face_px) * scale))
        boxes, counts = self._classifier.detectMultiScale2(
            _with_border(grey, border),
            scaleFactor=self.scale_step,
            minNeighbors=self.min_neighbours,
            minSize=(least, least),
        )
        return _ordered(
            FaceBox(
                float(x - border) / scale,
                float(y - border) / scale,
                float(w) / scale,
                float(h) / scale,
                float(n) / (float(n) + 5.0),
            )
            for (x, y, w, h), n in zip(boxes, np.ravel(counts), strict=True)
        )


@dataclass
class YuNetDetector:
    """YuNet (Wu, Peng, Yu, 2023) through `cv2.FaceDetectorYN`, with a model file that the user gives or has fetched.

    The published `face_detection_yunet_2023mar.onnx` needs
    OpenCV 4.8 or later. The image is scaled so that its long side is at most `work_px`; the network knows faces of
    10 to 300 px in the scaled image.
    """

    model_path: Path
    min_face_px: float = DEFAULT_MIN_FACE_PX
    work_px: int = 480
    score_threshold: float = 0.6
    name: str = field(default="yunet", init=False)

    def __post_init__(self) -> None:
        require(self.min_face_px > 0, "min_face_px", "be above 0", self.min_face_px)
        require(self.work_px >= 64, "work_px", "be at least 64", self.work_px)
        require(0 < self.score_threshold < 1, "score_threshold", "be in (0, 1)", self.score_threshold)
        if not hasattr(cv2, "FaceDetectorYN"):
            raise ConfigError(f"detector 'yunet' must have OpenCV 4.8 or later, got {cv2.__version__}; use 'cascade'")
        if not Path(self.model_path).is_file():
            raise ConfigError(f"YuNet's model_path must be a file, got {self.model_path}; fetch it: {_FETCH_COMMAND}")
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(self.model_path), "", (64, 64), score_threshold=self.score_threshold
            )
            self._network.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise ConfigError(
                f"{self.model_path} must be a YuNet model that OpenCV {cv2.__version__} can run (2023mar needs "
                f"4.8 or later), got: {error}; use 'cascade', or fetch the model again: {_FETCH_COMMAND}"
            ) from error

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        _check_image(image)
        scaled = _resize(image, min(1.0, self.work_px / max(image.shape[:2])))
        height, width = scaled.shape[:2]
        step_x, step_y = image.shape[1] / width, image.shape[0] / height
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR))
        least = _smallest_face(image, self.min_face_px)
        boxes = [
            FaceBox(
                float(row[0]) * step_x,
                float(row[1]) * step_y,
                float(row[2]) * step_x,
                float(row[3]) * step_y,
                min(1.0, float(row[-1])),
            )
            for row in (() if rows is None else rows)
        ]
        return _ordered(box for box in boxes if max(box.w, box.h) >= least)


@dataclass
class MediapipeDetector:
    """MediaPipe's BlazeFace (short range), for preparing data; extra `landmarks`.

    Fast, but for near faces only: it misses most of those narrower than a fifth of the image.
    """

    min_face_px: float = DEFAULT_MIN_FACE_PX
    score_threshold: float = 0.5
    name: str = field(default="mediapipe", init=False)

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
        _check_image(image)
        height, width = image.shape[:2]
        least = _smallest_face(image, self.min_face_px)
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
        return _ordered(box for box in boxes if max(box.w, box.h) >= least)


@dataclass
class WholeImageDetector:
    """For images that are face crops already: one box over the whole image."""

    name: str = field(default="none", init=False)

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        _check_image(image)
        return [FaceBox(0.0, 0.0, float(image.shape[1]), float(image.shape[0]))]


def _opencv_runs_yunet() -> bool:
    major, minor = (int(part) for part in cv2.__version__.split(".")[:2])
    return hasattr(cv2, "FaceDetectorYN") and (major, minor) >= (4, 8)


def make_detector(
    name: DetectorName = "auto",
    *,
    min_face_px: float = DEFAULT_MIN_FACE_PX,
    model_path: str | os.PathLike[str] | None = None,
) -> FaceDetector:
    """The detector of that name; 'auto' is YuNet where its model is given or has been fetched, else the cascade.

    `min_face_px` is the side of the smallest face wanted, in image pixels (below 128 px of short
    side: at most 0.3 of it). `model_path` is a YuNet model file (default: the fetched one).

    Raises:
        ConfigError: an unknown name, a setting out of range, or a detector that can't work here.
        MissingDependencyError: mediapipe is asked for and not installed.
    """
    require(name in get_args(DetectorName), "detector", f"be one of {', '.join(get_args(DetectorName))}", name)
    require(
        model_path is None or name in ("auto", "yunet"), "model_path", "be None: only 'yunet' takes a file", model_path
    )
    if name == "none":
        return WholeImageDetector()
    if name == "mediapipe":
        return MediapipeDetector(min_face_px=min_face_px)
    if name == "yunet" or model_path is not None:
        path = Path(model_path) if model_path is not None else cache_directory() / YUNET.filename
        return YuNetDetector(path, min_face_px=min_face_px)
    if name == "auto" and _opencv_runs_yunet() and (path := fetched(YUNET)) is not None:
        return YuNetDetector(path, min_face_px=min_face_px)
    return CascadeDetector(min_face_px=min_face_px)


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """Whether a detector works on this machine; `remedy` says what to do where it does not, else is empty."""

    name: DetectorName
    works: bool
    detail: str
    remedy: str = ""


def detector_status() -> list[DetectorStatus]:
    """The state of every detector here, for `aue-crl doctor`; each is really built."""
    opencv = f"OpenCV {cv2.__version__}"
    fetch_yunet = _FETCH_COMMAND if _opencv_runs_yunet() else "install OpenCV 4.8 or later"
    table: tuple[tuple[DetectorName, str, str], ...] = (
        ("cascade", f"{opencv}, {_CASCADE_FILE}", _CASCADE_REMEDY),
        ("yunet", f"{opencv}, {YUNET.filename}", f"optional: {fetch_yunet}"),
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
        except (ConfigError, MissingDependencyError) as error:
            states.append(DetectorStatus(name, False, str(error), remedy))
        else:
            states.append(DetectorStatus(name, True, detail))
    return states
