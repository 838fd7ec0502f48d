"""Observations in the words of other packages, for viewers and behaviours that do not know ours: pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from aue_crl_core.media.drawing.overlay import expression_colour
from aue_crl_core.types import FacePrediction
from aue_crl_ros.session.readings import Observation
from aue_crl_ros.transports.transport import Messages

_SPHERE, _TEXT = 2, 9
_ADD: Final = 0
_LIFETIME_S: Final = 1
FACE_WIDTH_M: Final = 0.15
"""Of a face's box, as it is assumed for the place of a marker."""


def detections(messages: Messages, observation: Observation) -> Any:
    """vision_msgs/Detection2DArray: `id` is the face's, `results` the expressions, the one in force first, the others
    by falling probability; of a face of low quality the one that is held, with score 0."""
    return messages.new(
        "vision_msgs/msg/Detection2DArray",
        header=observation.header,
        detections=[_detection(messages, observation.header, reading.prediction) for reading in observation.faces],
    )


def markers(messages: Messages, observation: Observation) -> Any:
    """visualization_msgs/MarkerArray: a ball and a line of text for each face, in the colour of its expression.

    They are in the image's frame (x right, y down, z ahead), at a rough place, for the eye only: that of a face
    `FACE_WIDTH_M` wide before a camera whose focal length is its image's width (53 degrees wide).
    """
    return messages.new(
        "visualization_msgs/msg/MarkerArray",
        markers=[
            marker for reading in observation.faces for marker in _markers(messages, observation, reading.prediction)
        ],
    )


def _detection(messages: Messages, header: Any, face: FacePrediction) -> Any:
    box = face.box
    others = sorted((p, name) for name, p in face.probabilities.items() if name != face.expression)
    named = [(face.expression, face.confidence), *((name, p) for p, name in reversed(others))]
    if face.state == "low_quality":
        named = [(face.expression, 0.0)]
    return messages.new(
        "vision_msgs/msg/Detection2D",
        header=header,
        results=[
            messages.new(
                "vision_msgs/msg/ObjectHypothesisWithPose",
                hypothesis=messages.new("vision_msgs/msg/ObjectHypothesis", class_id=name, score=float(score)),
                pose=messages.new(
                    "geometry_msgs/msg/PoseWithCovariance", pose=_pose(messages, 0, 0, 0), covariance=np.zeros(36)
                ),
            )
            for name, score in named
        ],
        bbox=messages.new(
            "vision_msgs/msg/BoundingBox2D",
            center=messages.new(
                "vision_msgs/msg/Pose2D",
                position=messages.new("vision_msgs/msg/Point2D", x=box.x + box.w / 2, y=box.y + box.h / 2),
                theta=0.0,
            ),
            size_x=float(box.w),
            size_y=float(box.h),
        ),
        id=face.face_id,
    )


def _markers(messages: Messages, observation: Observation, face: FacePrediction) -> Iterator[Any]:
    height, width = observation.image.shape[:2]
    box = face.box
    metres = FACE_WIDTH_M / max(box.w, 1.0)
    x, y = metres * (box.x + (box.w - width) / 2), metres * (box.y + (box.h - height) / 2)
    doubt = "" if face.state == "ok" else f" ({face.state.replace('_', ' ')})"
    text = f"{face.face_id} {face.expression} {face.confidence:.0%}{doubt}"
    red, green, blue = (value / 255 for value in expression_colour(face))
    for number, (kind, above, side, words) in enumerate(
        ((_SPHERE, 0.0, FACE_WIDTH_M, ""), (_TEXT, FACE_WIDTH_M, FACE_WIDTH_M / 3, text))
    ):
        yield messages.new(
            "visualization_msgs/msg/Marker",
            header=observation.header,
            ns=face.face_id,
            id=number,
            type=kind,
            action=_ADD,
            pose=_pose(messages, x, y - above, metres * width),
            scale=messages.new("geometry_msgs/msg/Vector3", x=side, y=side, z=side),
            color=messages.new("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=0.8),
            lifetime=messages.new("builtin_interfaces/msg/Duration", sec=_LIFETIME_S, nanosec=0),
            frame_locked=False,
            points=[],
            colors=[],
            texture_resource="",
            texture=messages.new(
                "sensor_msgs/msg/CompressedImage", header=observation.header, format="", data=np.zeros(0, np.uint8)
            ),
            uv_coordinates=[],
            text=words,
            mesh_resource="",
            mesh_file=messages.new("visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, np.uint8)),
            mesh_use_embedded_materials=False,
        )


def _pose(messages: Messages, x: float, y: float, z: float) -> Any:
    return messages.new(
        "geometry_msgs/msg/Pose",
        position=messages.new("geometry_msgs/msg/Point", x=float(x), y=float(y), z=float(z)),
        orientation=messages.new("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
    )
