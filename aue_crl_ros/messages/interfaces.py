"""Message types without ROS: the standard ones from rosbags, ours from the `.msg` and `.srv` files themselves."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_ros.messages.share import share

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

_PACKAGE: Final = "aue_crl"

# ROS4HRI's interfaces that the node speaks (hri_msgs 2.x), fields only: names, types and order are what the wire needs.
_HRI: Final = {
    "IdsList": "std_msgs/Header header\nstring[] ids",
    "Expression": ("std_msgs/Header header\nstring expression\nfloat32 valence\nfloat32 arousal\nfloat32 confidence"),
    "FacialActionUnits": "std_msgs/Header header\nfloat32[99] intensity\nfloat32[99] confidence",
    "NormalizedPointOfInterest2D": "float32 x\nfloat32 y\nfloat32 c",
    "FacialLandmarks": (
        "std_msgs/Header header\nNormalizedPointOfInterest2D[70] landmarks\nuint32 height\nuint32 width"
    ),
    "NormalizedRegionOfInterest2D": (
        "std_msgs/Header header\nfloat32 xmin\nfloat32 ymin\nfloat32 xmax\nfloat32 ymax\nfloat32 c"
    ),
}

# vision_msgs 4 (Humble and later), the part that the node speaks.
_VISION: Final = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "Point2D position\nfloat64 theta",
    "BoundingBox2D": "Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    "Detection2D": ("std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox2D bbox\nstring id"),
    "Detection2DArray": "std_msgs/Header header\nDetection2D[] detections",
}


@functools.cache
def typestore() -> Typestore:
    """The types of ROS 2 Jazzy with `aue_crl`'s and those of `hri_msgs` and `vision_msgs` that the node uses.

    Raises:
        MissingDependencyError: without the package rosbags.
    """
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise MissingDependencyError(
            "rosbags", "dds", "ROS messages without ROS", import_failure(error, "rosbags")
        ) from error
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for package, texts in (("hri_msgs", _HRI), ("vision_msgs", _VISION)):
        for name, text in texts.items():
            types |= get_types_from_msg(text, f"{package}/msg/{name}")
    for path in sorted(share("msg").glob("*.msg")):
        types |= get_types_from_msg(path.read_text(), f"{_PACKAGE}/msg/{path.stem}")
    for path in sorted(share("srv").glob("*.srv")):
        request, response = path.read_text().split("\n---\n")
        for part, text in (("Request", request), ("Response", response)):
            name = f"{_PACKAGE}/srv/{path.stem}_{part}"
            types[name] = next(iter(get_types_from_msg(text, name).values()))  # rosbags' key would be .../srv/msg/...
    store.register(types)
    return store


class StoreMessages:
    """`Messages` of rosbags' classes: dataclasses whose numeric sequences are numpy arrays."""

    def __init__(self) -> None:
        self.store = typestore()

    def new(self, type_name: str, **fields: Any) -> Any:
        """A message; `TypeError` where a field is missing or unknown."""
        return self.store.types[type_name](**fields)

    def serialize(self, type_name: str, message: Any) -> bytes:
        """As CDR (XCDR1, little endian, with its header of 4 bytes)."""
        return bytes(self.store.serialize_cdr(message, type_name))

    def deserialize(self, type_name: str, data: bytes) -> Any:
        """From CDR; numeric sequences are views into `data`."""
        return self.store.deserialize_cdr(data, type_name)
