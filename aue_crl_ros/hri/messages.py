"""Faces as ROS4HRI messages (REP-155, hri_msgs 2): pure functions, for any family of message classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import cv2
import numpy as np

from aue_crl_core import facs
from aue_crl_core.circumplex import basic_parts, valence_arousal
from aue_crl_core.config import Preprocessing
from aue_crl_core.dynamics.readings import FaceReading
from aue_crl_core.faces.crop import cut, map_from_points
from aue_crl_core.media.reading.pixels import swap_red_blue
from aue_crl_core.types import FaceBox, FacePrediction, Image
from aue_crl_ros.messages.conversions import clipped
from aue_crl_ros.transports.transport import Messages

FACE_SIDE: Final = 128
"""Pixels: REP-155's default for /humans/faces/width and /humans/faces/height."""

FACS_CODES: Final = 99
PUPILS: Final = (facs.RIGHT_EYE, facs.LEFT_EYE)
"""Points 68 and 69 of hri_msgs/FacialLandmarks; given as the middle of these points, with confidence 0."""

HRI_EXPRESSIONS: Final[dict[str, str]] = {
    **facs.ROS4HRI_EXPRESSIONS,
    **{label: facs.ROS4HRI_EXPRESSIONS[basic_parts(label)[-1]] for label in facs.COMPOUND_EXPRESSIONS},
    "happily surprised": "amazed",
    "sadly fearful": "despaired",
    "sadly surprised": "disappointed",
    "disgustedly surprised": "horrified",
}
"""Label -> constant of hri_msgs/Expression.

A compound label has its second word's, which its first one only tints, but where hri_msgs has a constant for the blend
itself: despair and disappointment (Plutchik's dyads), amazement, horror (Du et al., PNAS 2014: "appalled").
"""


def ids_list(messages: Messages, header: Any, ids: Iterable[str]) -> Any:
    """hri_msgs/IdsList."""
    return messages.new("hri_msgs/msg/IdsList", header=header, ids=list(ids))


def region(messages: Messages, header: Any, face: FacePrediction, width: int, height: int) -> Any:
    """hri_msgs/NormalizedRegionOfInterest2D: the box over the image's size, clipped to [0, 1]."""
    box = face.box
    return messages.new(
        "hri_msgs/msg/NormalizedRegionOfInterest2D",
        header=header,
        xmin=_unit(box.x / width),
        ymin=_unit(box.y / height),
        xmax=_unit((box.x + box.w) / width),
        ymax=_unit((box.y + box.h) / height),
        c=_score(face),
    )


def landmarks(messages: Messages, header: Any, face: FacePrediction, width: int, height: int) -> Any:
    """hri_msgs/FacialLandmarks: 68 points in iBUG order and the pupils, over the image's size, clipped to [0, 1].

    Confidence is the face's score; 0 for points outside the image and for the pupils, which are not estimated.
    """
    points = face.landmarks / np.array([width, height], np.float32)
    inside = ((points >= 0) & (points <= 1)).all(axis=1)
    pupils = [points[list(eye)].mean(axis=0) for eye in PUPILS]
    confidences = [_score(face) if seen else 0.0 for seen in inside] + [0.0] * len(pupils)
    return messages.new(
        "hri_msgs/msg/FacialLandmarks",
        header=header,
        landmarks=[
            messages.new("hri_msgs/msg/NormalizedPointOfInterest2D", x=_unit(x), y=_unit(y), c=c)
            for (x, y), c in zip([*points, *pupils], confidences, strict=True)
        ],
        height=height,
        width=width,
    )


def action_units(messages: Messages, header: Any, reading: FaceReading) -> Any:
    """hri_msgs/FacialActionUnits, indexed by FACS code: intensity is the probability that the unit is active.

    Confidence is the face's score; 0 for codes that the model does not know, for units whose region cannot be seen, and
    for all of a face of low quality (the intensity is 0 then, where nothing was estimated).
    """
    face = reading.prediction
    intensity, confidence = np.zeros(FACS_CODES, np.float32), np.zeros(FACS_CODES, np.float32)
    if face.state != "low_quality":
        for code, probability in face.action_units.items():
            intensity[code] = probability
            confidence[code] = _score(face) if code in reading.visible else 0.0
    return messages.new("hri_msgs/msg/FacialActionUnits", header=header, intensity=intensity, confidence=confidence)


def expression(messages: Messages, header: Any, face: FacePrediction) -> Any:
    """hri_msgs/Expression: the label in force; valence and arousal as `valence_arousal` has them.

    Confidence is the label's probability, and 0 for a face of low quality, whose last good estimate is held.
    """
    valence, arousal = valence_arousal(face.probabilities)
    return messages.new(
        "hri_msgs/msg/Expression",
        header=header,
        expression=HRI_EXPRESSIONS[face.expression],
        valence=valence,
        arousal=arousal,
        confidence=0.0 if face.state == "low_quality" else _unit(face.confidence),
    )


def image_message(messages: Messages, header: Any, image: Image) -> Any:
    """sensor_msgs/Image of an HxWx3 RGB image, as bgr8: readers of ROS4HRI's crops take them as they come for BGR."""
    height, width = image.shape[:2]
    return messages.new(
        "sensor_msgs/msg/Image",
        header=header,
        height=height,
        width=width,
        encoding="bgr8",
        is_bigendian=0,
        step=3 * width,
        data=swap_red_blue(image).ravel(),
    )


def cropped_face(image: Image, box: FaceBox) -> Image:
    """What the box holds, scaled to fit a square of `FACE_SIDE`, centred, the rest black."""
    left, top, right, bottom = clipped(box, image.shape[1], image.shape[0])
    part = image[top:bottom, left:right]
    scale = FACE_SIDE / max(part.shape[:2])
    height, width = (max(1, round(side * scale)) for side in part.shape[:2])
    if part.size == 3:  # OpenCV 4.5.4 takes it for a scalar
        part = np.repeat(part, 2, axis=0)
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    face = np.zeros((FACE_SIDE, FACE_SIDE, 3), np.uint8)
    y, x = (FACE_SIDE - height) // 2, (FACE_SIDE - width) // 2
    face[y : y + height, x : x + width] = small
    return face


def aligned_face(image: Image, face: FacePrediction) -> Image:
    """The face turned so that its eyes are level, with a margin, as a square of `FACE_SIDE`."""
    return cut(image, map_from_points(face.landmarks, Preprocessing(input_size=FACE_SIDE)), FACE_SIDE)


def _unit(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)


def _score(face: FacePrediction) -> float:
    return _unit(face.box.score if face.quality is None else face.quality.face_score)
