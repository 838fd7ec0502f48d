"""What the node asks of its middleware; `ros` answers with rclpy, `dds` with cyclonedds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol


@dataclass(frozen=True, slots=True)
class Qos:
    """The part of a QoS profile that this node uses; history is keep-last.

    `latched`: late joiners get the last message (transient local). `overridable`: users may change it, on ROS by the
    parameters `qos_overrides.TOPIC.subscription.*`.
    """

    reliable: bool
    depth: int
    latched: bool = False
    overridable: bool = False


SENSOR: Final = Qos(reliable=False, depth=1, overridable=True)
"""A camera's images in: an old frame is worth nothing, and a reliable publisher matches too."""
CROP: Final = Qos(reliable=False, depth=1)
"""Faces in, cut out by another node: many short-lived topics."""
RESULT: Final = Qos(reliable=True, depth=10)
"""Results out: readers of either reliability match."""
LATCHED: Final = Qos(reliable=True, depth=1, latched=True)
"""Descriptions."""


class Messages(Protocol):
    """Makes messages of one family (rclpy's or rosbags' classes)."""

    def new(self, type_name: str, **fields: Any) -> Any:
        """A message of `pkg/msg/Type`. Every field must be given; 1-D numpy arrays stand for numeric sequences."""
        ...


class Publisher(Protocol):
    """One outgoing topic."""

    def publish(self, message: Any) -> None:
        """Send; never blocks on a slow subscriber."""
        ...

    def listeners(self) -> int:
        """How many subscriptions are matched now."""
        ...

    def close(self) -> None:
        """Withdraw the topic."""
        ...


class Subscription(Protocol):
    """One incoming topic."""

    def close(self) -> None:
        """Stop listening."""
        ...


class Transport(Protocol):
    """A node on some middleware. Topics are ROS names: relative, absolute, or private (`~/...`)."""

    messages: Messages
    buffer_remedy: str
    """The line to type where large images do not fit the sockets' buffers; it counts from the next start on."""
    image_remedy: str
    """What to do where images are lost, and not in this process's sockets."""

    def now_ns(self) -> int:
        """The ROS time in nanoseconds: simulated where `use_sim_time` is set."""
        ...

    def resolve(self, topic: str) -> str:
        """The absolute name behind a topic, remappings applied."""
        ...

    def publisher(self, topic: str, type_name: str, qos: Qos) -> Publisher:
        """Offer a topic of type `pkg/msg/Type`."""
        ...

    def subscription(self, topic: str, type_name: str, qos: Qos, callback: Callable[[Any], None]) -> Subscription:
        """Listen; `callback` gets messages with the fields of `type_name`, `uint8[]` as something `memoryview` takes.

        It may be called from another thread, and must be quick.
        """
        ...

    def log(self, level: str, text: str) -> None:
        """`level`: debug, info, warn or error."""
        ...
