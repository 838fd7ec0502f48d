"""`Transport` on rclpy, Humble to Jazzy."""

from __future__ import annotations

import array
import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from rclpy import get_rmw_implementation_identifier
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions
from rosidl_runtime_py.utilities import get_message

from aue_crl_core import receive_buffers
from aue_crl_core.errors import ConfigError
from aue_crl_ros.messages.share import FAST_DDS_PROFILE, share
from aue_crl_ros.transports.transport import Qos

_TYPE_CODES: Final = {"f4": "f", "f8": "d", "u1": "B", "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i"}
HAS_MATCHED_EVENTS: Final = "matched" in inspect.signature(PublisherEventCallbacks.__init__).parameters
"""From Iron on; on Humble listeners are counted by polling alone."""


class RosMessages:
    """`Messages` of rclpy's classes."""

    def new(self, type_name: str, **fields: Any) -> Any:
        """A message (`KeyError`: no such field); numeric sequences become `array.array`, copied in one go."""
        kind = get_message(type_name)
        types = kind.get_fields_and_field_types()
        return kind(**{name: _field(value, types[name]) for name, value in fields.items()})


def _field(value: Any, field_type: str) -> Any:
    if field_type == "octet":
        return bytes([value])
    if not isinstance(value, np.ndarray) or not field_type.startswith("sequence"):
        return value
    sequence = array.array(_TYPE_CODES[value.dtype.str[1:]])
    sequence.frombytes(value.tobytes())
    return sequence


class RosTransport:
    """A node's topics. `on_matched` is called when a subscription comes or goes, on distributions that tell."""

    def __init__(self, node: Node, on_matched: Callable[[], None] | None = None) -> None:
        self._node = node
        self._on_matched = on_matched
        self.messages = RosMessages()

    @property
    def buffer_remedy(self) -> str:
        """Cyclone DDS asks for all that it may have (`cyclone.LARGE_BUFFERS`); Fast DDS takes the usual size."""
        cyclone = get_rmw_implementation_identifier() == "rmw_cyclonedds_cpp"
        return receive_buffers.REMEDY if cyclone else receive_buffers.REMEDY_OF_DEFAULT

    @property
    def image_remedy(self) -> str:
        """Fast DDS loses them in the sender's shared memory, which no reader can enlarge."""
        if "fastrtps" not in get_rmw_implementation_identifier():
            return self.buffer_remedy
        return f"start the camera with FASTRTPS_DEFAULT_PROFILES_FILE={share(FAST_DDS_PROFILE)}"

    def now_ns(self) -> int:
        """The node's clock, simulated with `use_sim_time`."""
        return self._node.get_clock().now().nanoseconds

    def resolve(self, topic: str) -> str:
        """The absolute name, remappings applied."""
        return self._node.resolve_topic_name(topic)

    def publisher(self, topic: str, type_name: str, qos: Qos) -> RosPublisher:
        """Offer a topic; `ConfigError` where its message's package is not installed."""
        events: dict[str, Any] = {
            "incompatible_qos": self._refusal(
                topic, "a subscriber", "the subscriber to volatile durability and either reliability"
            )
        }
        if HAS_MATCHED_EVENTS and self._on_matched is not None:
            notify = self._on_matched
            events["matched"] = lambda info: notify()
        publisher = self._node.create_publisher(
            _message_class(type_name, topic), topic, profile(qos), event_callbacks=PublisherEventCallbacks(**events)
        )
        return RosPublisher(self._node, publisher)

    def subscription(self, topic: str, type_name: str, qos: Qos, callback: Callable[[Any], None]) -> RosSubscription:
        """Listen."""
        overridable = QoSOverridingOptions.with_default_policies() if qos.overridable else None
        subscription = self._node.create_subscription(
            _message_class(type_name, topic),
            topic,
            callback,
            profile(qos),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._refusal(
                    topic, "a publisher", f"qos_overrides.{self.resolve(topic)}.subscription.reliability: best_effort"
                )
            ),
            qos_overriding_options=overridable,
        )
        return RosSubscription(self._node, subscription)

    def log(self, level: str, text: str) -> None:
        """To the node's logger."""
        logger = self._node.get_logger()
        # rclpy ties a severity to the line that calls it: one line each
        if level == "error":
            logger.error(text)
        elif level == "warn":
            logger.warning(text)
        elif level == "info":
            logger.info(text)
        else:
            logger.debug(text)

    def _refusal(self, topic: str, who: str, remedy: str) -> Callable[[Any], None]:
        def tell(info: Any) -> None:
            policy = qos_policy_name_from_kind(info.last_policy_kind)
            self.log(
                "warn", f"{who} of {self.resolve(topic)} has an incompatible {policy}: no message passes; set {remedy}"
            )

        return tell


class RosPublisher:
    """One outgoing topic."""

    def __init__(self, node: Node, publisher: Any) -> None:
        self._node, self._publisher = node, publisher

    def publish(self, message: Any) -> None:
        """Send."""
        self._publisher.publish(message)

    def listeners(self) -> int:
        """Matched subscriptions."""
        return self._publisher.get_subscription_count()

    def close(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)


class RosSubscription:
    """One incoming topic."""

    def __init__(self, node: Node, subscription: Any) -> None:
        self._node, self._subscription = node, subscription

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)


def _message_class(type_name: str, topic: str) -> Any:
    try:
        return get_message(type_name)
    except ModuleNotFoundError as error:
        package = type_name.partition("/")[0]
        debian = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
        raise ConfigError(
            f"{topic} needs the package {package}, which is not installed: apt install {debian}"
        ) from error


def profile(qos: Qos) -> QoSProfile:
    """rclpy's form of it."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE if qos.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if qos.latched else DurabilityPolicy.VOLATILE,
    )
