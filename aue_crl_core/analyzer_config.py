"""What counts as a face, and when its expression can be trusted: limits that users set."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aue_crl_core.config import require
from aue_crl_core.types import FaceQuality, PredictionState


@dataclass(frozen=True)
class AnalyzerConfig:
    """What counts as a face, and when its expression can be trusted.

    `max_faces` per frame, the largest are kept; `detect_every` n-th frame of a camera runs the detector, the frames
    between follow the points; with `background_search`, while a face is followed, it runs on a thread of its own, and
    what it finds enters with a later frame (which one depends on the machine); `lost_after_s` a track without a face
    ends; `min_face_score` below it a candidate is rejected (the score is that of the landmark net and the detector
    together); a face is `low_quality` where its score, its size, its sharpness or the mouth's being visible (see
    `FaceQuality`) is below `sure_face_score`, `min_face_px`, `min_sharpness` or `min_mouth_visible`, or where it is
    turned further than `max_yaw_deg` or `max_pitch_deg`, and `uncertain` where no expression reaches `uncertain_below`
    (None: the confidence that the weights' own validation asks for). With `mirror_stills` the faces of single images
    are read in the mirror as well (see `MirroredEngine`), and both ways in a slightly larger crop too; a camera's are
    not, they are seen many times. With `sides` predictions say one-sided action units too (see `faces.sides`), for two
    more runs of the network a face.
    """

    max_faces: int = 8
    detect_every: int = 5
    background_search: bool = False
    mirror_stills: bool = True
    sides: bool = False
    lost_after_s: float = 1.0
    min_face_score: float = 0.5
    sure_face_score: float = 0.7
    min_face_px: float = 20.0
    min_sharpness: float = 8.0
    max_yaw_deg: float = 40.0
    max_pitch_deg: float = 20.0
    min_mouth_visible: float = 0.5
    uncertain_below: float | None = None

    def __post_init__(self) -> None:
        require(self.max_faces >= 1, "max_faces", "be at least 1", self.max_faces)
        require(self.detect_every >= 1, "detect_every", "be at least 1 frame", self.detect_every)
        require(0 < self.lost_after_s < math.inf, "lost_after_s", "be above 0 seconds and finite", self.lost_after_s)
        for name in ("min_face_score", "sure_face_score", "min_mouth_visible", "uncertain_below"):
            value = getattr(self, name)
            require(value is None or 0 <= value <= 1, name, "be in [0, 1]", value)
        for name in ("max_yaw_deg", "max_pitch_deg"):
            require(0 < getattr(self, name) <= 180, name, "be in (0, 180] degrees", getattr(self, name))
        for name in ("min_face_px", "min_sharpness"):
            require(0 <= getattr(self, name) < math.inf, name, "be at least 0 and finite", getattr(self, name))

    def state(self, confidence: float, quality: FaceQuality, uncertain_below: float) -> PredictionState:
        """How far an answer of that `confidence`, in [0, 1], can be trusted; `uncertain_below` is the one in force."""
        if (
            quality.face_score < self.sure_face_score
            or quality.size_px < self.min_face_px
            or quality.sharpness < self.min_sharpness
            or quality.mouth_visible < self.min_mouth_visible
            or not abs(quality.yaw) <= math.radians(self.max_yaw_deg)  # NaN, a pose that cannot be told, is too far
            or not abs(quality.pitch) <= math.radians(self.max_pitch_deg)
        ):
            return "low_quality"
        return "ok" if confidence >= uncertain_below else "uncertain"
