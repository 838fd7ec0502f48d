"""What flows from camera to consumer: frozen values with stated shapes, ranges, units and colour order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""HxWx3 uint8, RGB, 0-255."""
Points = NDArray[np.float32]
"""68x2 float32, (x, y) in pixels, iBUG order; x right, y down, pixel centres at whole numbers."""

PredictionState = Literal["ok", "uncertain", "low_quality"]

_COVERED_BELOW: Final = 0.5


@dataclass(frozen=True, slots=True)
class Frame:
    """One image and where it comes from.

    `image` HxWx3 uint8 RGB; `source` the file, device or topic; `index` counts frames of the source from 0;
    `time_s` seconds on the source's own clock (stream position, or the ROS stamp); `camera` keys the tracker state;
    `scale` how many pixels of the source one of `image` is, where a large picture was decoded at reduced size.
    """

    image: Image
    source: str = ""
    _: KW_ONLY
    index: int = 0
    time_s: float = 0.0
    camera: str = ""
    scale: int = 1


@dataclass(frozen=True, slots=True)
class FaceBox:
    """An upright box in image pixels: top-left corner `x, y`, size `w, h`; `score` in [0, 1], higher is surer.

    `roll`: how far the face in it is tilted in the image, radians, > 0 where its left eye is lower than its right one;
    0 where nobody said. `support`: what speaks for a face in it before the landmark net looks, in log odds; 0 where the
    detector's scores do not tell.
    """

    x: float
    y: float
    w: float
    h: float
    score: float = 1.0
    roll: float = 0.0
    support: float = 0.0

    def as_list(self) -> list[float]:
        """`[x, y, w, h]` in pixels."""
        return [self.x, self.y, self.w, self.h]

    @classmethod
    def around(cls, points: Points, score: float = 1.0) -> FaceBox:
        """The smallest upright box that holds the Nx2 `points` (pixels)."""
        low, high = points.min(axis=0), points.max(axis=0)
        return cls(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]), score)

    def iou(self, other: FaceBox) -> float:
        """Intersection over union, in [0, 1]."""
        shared = self._shared(other)
        return min(1.0, shared / (self.w * self.h + other.w * other.h - shared)) if shared > 0 else 0.0

    def overlap(self, other: FaceBox) -> float:
        """Intersection over the smaller of both, in [0, 1]: 1 where one lies in the other, however small it is."""
        shared = self._shared(other)
        return min(1.0, shared / min(self.w * self.h, other.w * other.h)) if shared > 0 else 0.0

    def _shared(self, other: FaceBox) -> float:
        w = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        h = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        return w * h if w > 0 and h > 0 else 0.0


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """A face as the network sees it.

    `image` SxSx3 uint8 RGB; `to_image` 2x3 float64, the affine map from crop pixels to image pixels
    (a similarity: rotation, scale and shift only).
    """

    image: Image
    to_image: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """How far a face can be trusted to show its expression.

    `size_px` side of the face box in image pixels; `sharpness` variance of the Laplacian on the grey 96 px crop
    (8-bit units squared); `face_score` the landmark net's belief that this is a face, [0, 1]; `yaw`, `pitch`, `roll` of
    the head in radians, > 0 where it is turned to its own left, raised, tilted to its own right shoulder (rough values,
    NaN where they cannot be told; see `faces.pose`); `eyes_visible` and `mouth_visible`, [0, 1], how likely it is that
    they can be seen, and no mask, hand or dark glasses cover them (see `faces.visibility`).
    """

    size_px: float
    sharpness: float
    face_score: float
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    eyes_visible: float = 1.0
    mouth_visible: float = 1.0

    @property
    def eyes_covered(self) -> bool:
        """Whether the eyes are more likely covered than visible."""
        return self.eyes_visible < _COVERED_BELOW

    @property
    def mouth_covered(self) -> bool:
        """Whether the mouth is more likely covered than visible."""
        return self.mouth_visible < _COVERED_BELOW


@dataclass(frozen=True, slots=True)
class FacePrediction:
    """One face in one frame.

    `probabilities` sums to 1 over the model's vocabulary, in label order; `expression` is its largest entry (after
    `TemporalFilter` the label in force) and `confidence` that entry's value; `action_units` FACS code -> probability in
    [0, 1]; `attention` FACS code -> weight, summing to 1; `landmarks` 68x2 float32 image pixels; `face_id` begins with
    a letter (REP-155). `sides`: side ("left", "right", the person's own) -> FACS code -> probability, for the AUs that
    are told apart by side; empty where that was not asked for, or the head is turned away. It is of this frame alone.
    `intensities` FACS code -> how strong the action unit is, in [0, 5], for those of which the network tells it.
    """

    face_id: str
    box: FaceBox
    expression: str
    confidence: float
    probabilities: Mapping[str, float]
    action_units: Mapping[int, float]
    landmarks: Points
    state: PredictionState = "ok"
    attention: Mapping[int, float] = field(default_factory=dict)
    quality: FaceQuality | None = None
    sides: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    intensities: Mapping[int, float] = field(default_factory=dict)

    @property
    def caveat(self) -> str:
        """What is to be said beside the expression: nothing where `state` is "ok"."""
        covered = self.quality is not None and self.quality.mouth_covered
        low = "mouth covered" if covered else "low quality"
        return {"ok": "", "uncertain": "uncertain", "low_quality": low}[self.state]

    def in_source(self, frame: Frame) -> FacePrediction:
        """The same with `box` and `landmarks` in pixels of the frame's source, where its image is a reduced one."""
        if frame.scale == 1:
            return self
        points = (self.landmarks * frame.scale + (frame.scale - 1) / 2).astype(np.float32)  # of pixels' centres
        x, y, w, h = (frame.scale * value for value in self.box.as_list())
        return replace(self, box=replace(self.box, x=x, y=y, w=w, h=h), landmarks=points)

    def as_record(self, frame: Frame) -> dict[str, object]:
        """The JSONL record of the CLI: plain Python values only, numbers rounded to 4 (points: 1) decimals; places are
        those of `in_source`."""
        here = self.in_source(frame)
        record: dict[str, object] = {
            "source": frame.source,
            "frame": frame.index,
            "time_s": round(float(frame.time_s), 4),
            "face_id": self.face_id,
            "box": [round(float(v), 1) for v in here.box.as_list()],
            "expression": self.expression,
            "confidence": round(float(self.confidence), 4),
            "probabilities": {name: round(float(p), 4) for name, p in self.probabilities.items()},
            "action_units": {str(unit): round(float(p), 4) for unit, p in self.action_units.items()},
            "landmarks": [[round(float(x), 1), round(float(y), 1)] for x, y in here.landmarks],
            "state": self.state,
        }
        if self.intensities:
            record["intensities"] = {str(unit): round(float(i), 2) for unit, i in self.intensities.items()}
        if self.sides:
            record["sides"] = {
                side: {str(unit): round(float(p), 4) for unit, p in units.items()} for side, units in self.sides.items()
            }
        return record
