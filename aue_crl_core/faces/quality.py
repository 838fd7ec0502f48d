"""How far a face can be trusted to show its expression."""

from __future__ import annotations

from typing import Final

import cv2

from aue_crl_core.faces.landmarks import LocatedFace
from aue_crl_core.faces.pose import head_pose
from aue_crl_core.faces.visibility import VisibleParts
from aue_crl_core.types import FaceQuality, Image

_SHARPNESS_SIZE: Final = 96


def face_quality(face: LocatedFace, crop: Image, visible: VisibleParts) -> FaceQuality:
    """The quality of a face; `crop` SxSx3 uint8 RGB is what the network sees of it, `visible` what of it is covered."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    if grey.shape[0] != _SHARPNESS_SIZE:
        grey = cv2.resize(grey, (_SHARPNESS_SIZE, _SHARPNESS_SIZE), interpolation=cv2.INTER_AREA)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    pose = head_pose(face.points)
    return FaceQuality(
        max(face.box.w, face.box.h),
        sharpness,
        face.score,
        yaw=pose.yaw,
        pitch=pose.pitch,
        roll=pose.roll,
        eyes_visible=visible.eyes,
        mouth_visible=visible.mouth,
    )
