"""From observations to this package's messages: pure functions, for any family of message classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from aue_crl_core import __version__
from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.engines import find_weights, shipped_weights
from aue_crl_core.facs import SIDES
from aue_crl_core.hashing import file_sha256
from aue_crl_core.media.drawing.overlay import draw_overlay
from aue_crl_core.media.reading.pixels import swap_red_blue
from aue_crl_core.types import FaceBox, FacePrediction, FaceQuality
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.readings import Observation
from aue_crl_ros.transports.transport import Messages

SHIPPED_LICENCE: Final = "Apache-2.0"
"""Of the weights in the package, as their model card says."""
_STATES: Final = {"ok": 0, "uncertain": 1, "low_quality": 2}
_NS: Final = 1_000_000_000
_JPEG_QUALITY: Final = 85


@dataclass(frozen=True)
class ModelFacts:
    """What `ModelDescription` says of the weights in force; the fields are its."""

    weights: str
    weights_sha256: str
    licence: str
    engine: str
    device: str
    vocabulary: str
    expressions: tuple[str, ...]
    action_units: tuple[int, ...]
    input_size: int
    version: str


def model_facts(analyzer: FaceAnalyzer, settings: Settings) -> ModelFacts:
    """The facts of an analyzer that was loaded with these settings.

    Raises:
        CheckpointError: the weights' file is gone.
    """
    engine = analyzer.engine
    path = find_weights(settings.weights, settings.engine)  # type: ignore[arg-type]
    return ModelFacts(
        weights=settings.weights,
        weights_sha256=file_sha256(path),
        licence=SHIPPED_LICENCE if settings.weights in shipped_weights() else "",
        engine=engine.name,
        device=engine.device,
        vocabulary=engine.config.vocabulary,
        expressions=analyzer.expressions,
        action_units=analyzer.action_units,
        input_size=engine.config.preprocessing.input_size,
        version=__version__,
    )


def stamp(messages: Messages, ns: int) -> Any:
    """builtin_interfaces/Time of a time in nanoseconds."""
    seconds, rest = divmod(ns, _NS)
    return messages.new("builtin_interfaces/msg/Time", sec=seconds, nanosec=rest)


def header(messages: Messages, ns: int, frame_id: str = "") -> Any:
    """std_msgs/Header of a time in nanoseconds."""
    return messages.new("std_msgs/msg/Header", stamp=stamp(messages, ns), frame_id=frame_id)


def model_description(messages: Messages, facts: ModelFacts, header: Any) -> Any:
    """aue_crl/ModelDescription."""
    return messages.new(
        "aue_crl/msg/ModelDescription",
        header=header,
        weights=facts.weights,
        weights_sha256=facts.weights_sha256,
        licence=facts.licence,
        engine=facts.engine,
        device=facts.device,
        vocabulary=facts.vocabulary,
        expressions=list(facts.expressions),
        action_units=np.array(facts.action_units, np.uint8),
        input_size=facts.input_size,
        version=facts.version,
    )


def expression_array(
    messages: Messages, observation: Observation, description: ModelFacts, latency_s: float, points: bool = True
) -> Any:
    """aue_crl/FaceExpressionArray of all faces of one image, in the observation's order.

    `description` gives the order of probabilities and action units; `latency_s` from the image's stamp to now (NaN:
    the image has none); without `points` (privacy) the landmarks are left empty.
    """
    height, width = observation.image.shape[:2]
    return messages.new(
        "aue_crl/msg/FaceExpressionArray",
        header=observation.header,
        camera=observation.camera,
        image_width=width,
        image_height=height,
        faces=[_face(messages, observation, reading, description, points) for reading in observation.faces],
        latency=float(latency_s),
        dropped_frames=observation.dropped,
    )


def expression_event(messages: Messages, observation: Observation, event: Event) -> Any:
    """aue_crl/ExpressionEvent."""
    return messages.new(
        "aue_crl/msg/ExpressionEvent",
        header=observation.header,
        camera=observation.camera,
        face_id=event.face_id,
        kind=int(event.kind),
        phase=int(event.phase),
        expression=event.expression,
        action_unit=event.action_unit,
        probability=float(event.probability),
        peak_probability=float(event.peak_probability),
        began=stamp(messages, event.began_ns),
        peaked=stamp(messages, event.peaked_ns),
    )


def debug_image(messages: Messages, observation: Observation) -> Any:
    """sensor_msgs/CompressedImage (JPEG): the picture with its faces drawn in."""
    drawn = draw_overlay(observation.image, [reading.prediction for reading in observation.faces], panels="inside")
    _, data = cv2.imencode(".jpg", swap_red_blue(drawn), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return messages.new(
        "sensor_msgs/msg/CompressedImage",
        header=observation.header,
        format="bgr8; jpeg compressed bgr8",
        data=data.ravel(),
    )


def clipped(box: FaceBox, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (the last two exclusive) of the whole pixels that a box touches, inside the image.

    Of a box outside of the image, the nearest pixel remains: a region of no size would stand for the whole image.
    """
    left = min(max(math.floor(box.x), 0), width - 1)
    top = min(max(math.floor(box.y), 0), height - 1)
    right = min(max(math.ceil(box.x + box.w), left + 1), width)
    bottom = min(max(math.ceil(box.y + box.h), top + 1), height)
    return left, top, right, bottom


def _face(
    messages: Messages, observation: Observation, reading: FaceReading, description: ModelFacts, points: bool
) -> Any:
    face = reading.prediction
    height, width = observation.image.shape[:2]
    left, top, right, bottom = clipped(face.box, width, height)
    estimated = face.state != "low_quality"
    return messages.new(
        "aue_crl/msg/FaceExpression",
        header=observation.header,
        face_id=face.face_id,
        box=messages.new(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=left,
            y_offset=top,
            height=bottom - top,
            width=right - left,
            do_rectify=False,
        ),
        expression=face.expression,
        confidence=float(face.confidence),
        probabilities=np.array([face.probabilities[name] for name in description.expressions], np.float32),
        state=_STATES[face.state],
        calibrated=reading.calibrated,
        action_units=[
            messages.new(
                "aue_crl/msg/ActionUnit",
                code=code,
                probability=float(face.action_units[code]) if estimated else 0.0,
                intensity=float(face.intensities.get(code, math.nan)) if estimated else math.nan,
                estimated=estimated,
                visible=code in reading.visible,
                **{side: face.sides.get(side, {}).get(code, math.nan) if estimated else math.nan for side in SIDES},
            )
            for code in description.action_units
        ],
        landmarks=np.ascontiguousarray(face.landmarks if points else face.landmarks[:0], np.float32).ravel(),
        quality=_quality(messages, face),
    )


def _quality(messages: Messages, face: FacePrediction) -> Any:
    unknown = dict.fromkeys(("yaw", "pitch", "roll", "eyes_visible", "mouth_visible"), math.nan)
    quality = face.quality or FaceQuality(max(face.box.w, face.box.h), math.nan, face.box.score, **unknown)
    return messages.new(
        "aue_crl/msg/FaceQuality",
        size=float(quality.size_px),
        sharpness=float(quality.sharpness),
        face_score=float(quality.face_score),
        yaw=float(quality.yaw),
        pitch=float(quality.pitch),
        roll=float(quality.roll),
        eyes_visible=float(quality.eyes_visible),
        mouth_visible=float(quality.mouth_visible),
    )
