"""The node's parameters: each declared once, read as one typed snapshot by both nodes, the YAML file and the docs."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aue_crl_core.analyzer import AnalyzerConfig
from aue_crl_core.config import require
from aue_crl_core.dynamics.smoothing import TemporalConfig
from aue_crl_core.errors import ConfigError
from aue_crl_ros.transports.dds.names import NodeNames

Value = bool | int | float | str | tuple[str, ...]


@dataclass(frozen=True)
class Parameter:
    """One declaration. `low` and `high` are inclusive; `live`: can change while the node is configured."""

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = True

    def checked(self, value: object) -> Value:
        """The value in the parameter's own type.

        Raises:
            ConfigError: of another type, out of range, or not one of the choices.
        """
        kind = type(self.default)
        if kind is tuple:
            ok = isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value)
            require(ok and len(value) > 0, self.name, "be a list of at least one non-empty string", value)  # type: ignore[arg-type]
            require(len(set(value)) == len(value), self.name, "name nothing twice", value)  # type: ignore[arg-type, call-overload]
            return tuple(value)  # type: ignore[arg-type]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) <= sys.float_info.max else math.inf
        word = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}[kind]
        require(type(value) is kind, self.name, f"be {word}", value)
        if self.choices:
            require(value in self.choices, self.name, f"be one of {', '.join(self.choices)}", value)
        if isinstance(value, (int, float)) and self.low is not None and self.high is not None:
            inside = self.low <= value <= self.high
            require(inside, self.name, f"be in [{self.low:g}, {self.high:g}]", value)
        return value  # type: ignore[return-value]


def _parameter(default: Value, description: str, **limits: Any) -> Any:
    return field(default=default, metadata={"description": description, **limits})


@dataclass(frozen=True)
class Settings:
    """A snapshot of all parameters. Those that are not `live` change in the unconfigured state only."""

    image_topics: tuple[str, ...] = _parameter(
        ("image",),
        "Image topics, one a camera; with image_transport compressed, the topics before '/compressed'.",
        live=False,
    )
    image_transport: str = _parameter(
        "raw",
        "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage.",
        choices=("raw", "compressed"),
        live=False,
    )
    weights: str = _parameter("edge", "A shipped name, or a path of weights.", live=False)
    engine: str = _parameter("onnx", "What runs the networks.", choices=("onnx", "torch", "openvino"), live=False)
    device: str = _parameter("cpu", "cpu, cuda or cuda:N.", live=False)
    threads: int = _parameter(1, "Processor threads of the engine; 0: its own choice.", low=0, high=256, live=False)
    precision: str = _parameter(
        "auto",
        "What the network is computed in; auto: int8 where its file and a processor that is faster in it are there, "
        "else fp32. bf16 needs engine torch, or openvino, whose auto it is on processors that multiply it.",
        choices=("auto", "fp32", "bf16", "int8"),
        live=False,
    )
    detector: str = _parameter(
        "auto",
        "How faces are found; auto: the best that is installed.",
        choices=("auto", "yunet", "own", "cascade"),
        live=False,
    )
    min_search_px: float = _parameter(
        24.0, "Side of the smallest face searched for, pixels.", low=10, high=1000, live=False
    )
    hri: bool = _parameter(False, "Publish the ROS4HRI (REP-155) topics; needs hri_msgs.", live=False)
    detections: bool = _parameter(
        False, "Publish ~/detections, vision_msgs/Detection2DArray; needs vision_msgs.", live=False
    )
    markers: bool = _parameter(False, "Publish ~/markers, visualization_msgs/MarkerArray, for RViz.", live=False)
    face_source: str = _parameter(
        "camera",
        "camera: find faces in the images; cropped, aligned: read those that another node publishes (/humans/faces).",
        choices=("camera", "cropped", "aligned"),
        live=False,
    )
    use_neutral: bool = _parameter(True, "Apply the neutral faces that were learned.")
    always_subscribe: bool = _parameter(False, "Take images in even while nobody listens to the results.")
    max_faces: int = _parameter(8, "At most so many faces an image, the largest first.", low=1, high=64)
    sides: bool = _parameter(False, "Action units of the left and of the right half of each face as well.")
    detect_every: int = _parameter(5, "Search anew every N-th image, follow the points in between.", low=1, high=100)
    background_search: bool = _parameter(
        True,
        "While a face is followed, search on a thread of its own: no image waits, new faces come a little later.",
    )
    lost_after_s: float = _parameter(1.0, "A face unseen for longer ends, seconds.", low=0.05, high=30.0)
    min_face_px: float = _parameter(20.0, "Smaller faces are LOW_QUALITY, pixels.", low=0, high=2000)
    min_sharpness: float = _parameter(
        8.0, "More blurred faces are LOW_QUALITY, 8-bit units squared.", low=0, high=10000
    )
    max_yaw_deg: float = _parameter(40.0, "Faces turned further aside are LOW_QUALITY, degrees.", low=5, high=180)
    max_pitch_deg: float = _parameter(
        20.0, "Faces raised or lowered further are LOW_QUALITY, degrees.", low=5, high=180
    )
    min_mouth_visible: float = _parameter(
        0.5,
        "Faces whose mouth is less likely to be seen (a mask, a hand) are LOW_QUALITY; 0: they are not.",
        low=0,
        high=1,
    )
    uncertain_below: float = _parameter(
        -1.0, "Less likely expressions are UNCERTAIN; below 0: as the weights' own validation asks for.", low=-1, high=1
    )
    smoothing_s: float = _parameter(
        0.3,
        "Time constant of the smoothing, seconds of the images' clock; 0: none. Large changes are followed sooner, "
        "expressions that go back and forth (a mouth that speaks) later.",
        low=0,
        high=10,
    )
    hysteresis: float = _parameter(
        0.1,
        "A label is replaced when another is this much likelier; a sure face is UNCERTAIN when this much less sure.",
        low=0,
        high=1,
    )
    unit_on: float = _parameter(0.6, "An action unit begins at this probability.", low=0, high=1)
    unit_off: float = _parameter(0.4, "An action unit ends below this probability.", low=0, high=1)
    min_event_s: float = _parameter(0.1, "What lasts less is no event, seconds.", low=0, high=10)
    debug_image: bool = _parameter(False, "Offer ~/debug_image/compressed; drawn only while somebody listens.")
    view: bool = _parameter(
        False,
        "Serve the live view, a page for this machine's browsers; drawn only while somebody looks.",
        live=False,
    )
    view_port: int = _parameter(
        8765, "Port of the live view; 0: a free one, which the log names.", low=0, high=65535, live=False
    )
    privacy: bool = _parameter(
        False, "Neither pixels nor face points leave the node: no debug image, face crops, landmarks or live pictures."
    )
    stale_after_s: float = _parameter(2.0, "Without an image for longer, diagnostics warn, seconds.", low=0.1, high=600)

    def __post_init__(self) -> None:
        for parameter in PARAMETERS.values():
            object.__setattr__(self, parameter.name, parameter.checked(getattr(self, parameter.name)))
        for topic in self.image_topics:
            NodeNames("aue_crl").expand(topic)
        in_images = self.face_source == "camera" or not (self.detections or self.markers)
        require(in_images, "face_source", "be camera where detections or markers is set", self.face_source)
        require(self.unit_off <= self.unit_on, "unit_off", f"be at most unit_on ({self.unit_on:g})", self.unit_off)

    def changed(self, values: Mapping[str, object], *, configured: bool = False) -> Settings:
        """These settings with some values replaced.

        Raises:
            ConfigError: a name that is not known, a value that is refused, or (`configured`) one that is not live.
        """
        unknown = sorted(set(values) - set(PARAMETERS))
        if unknown:
            raise ConfigError(f"no parameter is called {', '.join(unknown)}; known are {', '.join(PARAMETERS)}")
        for name, value in values.items():
            parameter = PARAMETERS[name]
            if configured and not parameter.live and parameter.checked(value) != getattr(self, name):
                raise ConfigError(
                    f"{name} can be changed in the unconfigured state only; "
                    "clean the node up first: ros2 lifecycle set NODE cleanup"
                )
        return dataclasses.replace(self, **values)  # type: ignore[arg-type]

    def analyzer(self) -> AnalyzerConfig:
        """What the analyzer needs of it."""
        return AnalyzerConfig(
            max_faces=self.max_faces,
            sides=self.sides,
            detect_every=self.detect_every,
            background_search=self.background_search,
            lost_after_s=self.lost_after_s,
            min_face_px=self.min_face_px,
            min_sharpness=self.min_sharpness,
            max_yaw_deg=self.max_yaw_deg,
            max_pitch_deg=self.max_pitch_deg,
            min_mouth_visible=self.min_mouth_visible,
            uncertain_below=None if self.uncertain_below < 0 else self.uncertain_below,
        )

    def temporal(self, uncertain_below: float) -> TemporalConfig:
        """What the smoothing needs of it, and of the analyzer (`FaceAnalyzer.uncertain_below`)."""
        return TemporalConfig(self.smoothing_s, self.hysteresis, uncertain_below)


def _declared() -> dict[str, Parameter]:
    return {f.name: Parameter(f.name, f.default, **f.metadata) for f in dataclasses.fields(Settings)}  # type: ignore[arg-type]


PARAMETERS: Final[dict[str, Parameter]] = _declared()
"""Name to declaration, in the order of `Settings`."""
