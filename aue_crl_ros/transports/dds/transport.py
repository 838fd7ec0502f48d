"""`Transport` on plain DDS (cyclonedds), with the wire names, types and QoS of ROS 2: a node without ROS."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final

from aue_crl_core import receive_buffers
from aue_crl_core.errors import ConfigError, MissingDependencyError, import_failure

try:
    from cyclonedds.core import DDSException, GuardCondition, WaitSet
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.qos import Policy
    from cyclonedds.qos import Qos as DdsQos
    from rosbags.serde import SerdeError as _  # noqa: F401
except ImportError as error:
    name = (error.name or "cyclonedds").partition(".")[0]
    raise MissingDependencyError(name, "dds", "a node without ROS", import_failure(error, name)) from error

from aue_crl_ros.messages.interfaces import StoreMessages
from aue_crl_ros.transports.dds.endpoints import DdsPublisher, DdsSubscription, Endpoint
from aue_crl_ros.transports.dds.graph import ENCLAVE, NodeGraph
from aue_crl_ros.transports.dds.names import NodeNames
from aue_crl_ros.transports.dds.network import Range, network
from aue_crl_ros.transports.dds.service import DdsService
from aue_crl_ros.transports.dds.types import DataTypes
from aue_crl_ros.transports.transport import SENSOR, Qos

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_LAST_DOMAIN: Final = 232
_INFINITE: Final = (1 << 63) - 1
_AFTER_FAILURE_S: Final = 0.1
_CLOCK_TYPE: Final = "rosgraph_msgs/msg/Clock"


def domain_from_environment() -> int:
    """ROS_DOMAIN_ID, or 0.

    Raises:
        ConfigError: it is set to something that is not a number.
    """
    text = os.environ.get("ROS_DOMAIN_ID", "") or "0"
    if not text.isdecimal():
        raise ConfigError(f"ROS_DOMAIN_ID must be an integer in [0, {_LAST_DOMAIN}], got {text!r}")
    return int(text)


class DdsTransport:
    """A node on DDS. Close it (or use it as a context manager), so that others see at once that it is gone."""

    buffer_remedy = receive_buffers.REMEDY
    image_remedy = receive_buffers.REMEDY

    def __init__(
        self,
        node_name: str,
        namespace: str = "/",
        remappings: Mapping[str, str] | None = None,
        domain_id: int | None = None,
        use_sim_time: bool = False,
        discovery: Range | None = None,
    ) -> None:
        """Join `domain_id` (default: ROS_DOMAIN_ID, or 0) as `node_name`.

        Whom it meets, `self.network`, is what `discovery` says, else what ROS's variables or CYCLONEDDS_URI say, else
        the nodes of this machine (see `network.network`). With `use_sim_time`, `now_ns` follows `/clock` and is 0
        before the first.

        Raises:
            ConfigError: a name, a remapping or the domain is not valid, or CYCLONEDDS_URI is not.
            MissingDependencyError: without rosbags.
        """
        self.names = NodeNames(node_name, namespace, remappings or {})
        self.messages = StoreMessages()
        self.types = DataTypes(self.messages.store)
        self._logger = logging.getLogger(f"aue_crl.{self.names.name}")
        self._lock = threading.RLock()
        self._endpoints: list[Endpoint] = []
        self._services = 0
        self._closing = False
        self._sim_time_ns = 0
        self._use_sim_time = use_sim_time
        self.network = network(discovery)
        domain = domain_from_environment() if domain_id is None else domain_id
        if not 0 <= domain <= _LAST_DOMAIN:
            raise ConfigError(f"the DDS domain must be in [0, {_LAST_DOMAIN}], got {domain}")
        try:
            with self.network.in_force():
                self.participant = DomainParticipant(domain, DdsQos(Policy.Userdata(ENCLAVE)))
        except DDSException as error:
            raise ConfigError(
                f"joining DDS domain {domain} failed ({error}); CYCLONEDDS_URI must be unset, or name interfaces that "
                f"exist and leave room for another participant; got {os.environ.get('CYCLONEDDS_URI', 'unset')!r}; "
                f"this node {self.network}"
            ) from error
        self.graph = NodeGraph(self.participant, self.names.namespace, self.names.name)
        self._wake = GuardCondition(self.participant)
        self._waitset = WaitSet(self.participant)
        self._waitset.attach(self._wake)
        self._receiver = threading.Thread(target=self._receive, name=f"dds {self.names.name}", daemon=True)
        self._receiver.start()
        if use_sim_time:
            self.subscription("/clock", _CLOCK_TYPE, SENSOR, self._on_clock)

    def __enter__(self) -> DdsTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def receiving(self) -> bool:
        """Whether messages are taken in: true from construction to `close`, false if the receiving thread has died."""
        return self._receiver.is_alive()

    def now_ns(self) -> int:
        """The system's time, or `/clock`'s last (0 before its first), nanoseconds."""
        return self._sim_time_ns if self._use_sim_time else time.time_ns()

    def resolve(self, topic: str) -> str:
        """The absolute name, remappings applied."""
        return self.names.resolve(topic)

    def publisher(self, topic: str, type_name: str, qos: Qos) -> DdsPublisher:
        """Offer a topic."""
        return DdsPublisher(self, self.resolve(topic), type_name, qos)

    def subscription(self, topic: str, type_name: str, qos: Qos, callback: Callable[[Any], None]) -> DdsSubscription:
        """Listen; `callback` runs on the transport's receiving thread, one message at a time, the newest last.

        An `AueCrlError` of the callback is logged. After `close` at most one call that is under way still ends.
        """
        return DdsSubscription(self, self.resolve(topic), type_name, qos, callback)

    def service(self, name: str, type_name: str, handler: Callable[[Any], Any]) -> DdsService:
        """Answer requests of type `pkg/srv/Type`: `handler` gets a `Type_Request` and returns a `Type_Response`.

        It runs on a thread of its own for each request and may take long. Only clients on rmw_cyclonedds (and others
        that put rmw_cyclonedds' header before the request) get answers.
        """
        return DdsService(self, self.resolve(name), type_name, handler)

    def next_service_id(self) -> bytes:
        """16 bytes that no other service or client on the network has."""
        with self._lock:
            self._services += 1
            return self.participant.guid.bytes[:12] + self._services.to_bytes(4, "big")

    def log(self, level: str, text: str) -> None:
        """To the logger `aue_crl.<node name>`."""
        self._logger.log(_LEVELS[level], text)

    def close(self) -> None:
        """Withdraw all topics, end the receiving thread and leave the domain. Later calls do nothing."""
        if self._closing:
            return
        self._closing = True
        self._wake.set(True)
        self._receiver.join()
        for endpoint in tuple(self._endpoints):
            endpoint.close()
        del self._waitset, self._wake
        del self.graph
        del self.participant

    def attach(self, endpoint: Endpoint) -> None:
        """Have the receiving thread call `endpoint.poll` when its entity has something to say."""
        with self._lock:
            self._endpoints.append(endpoint)
            self._waitset.attach(endpoint.entity)

    def detach(self, endpoint: Endpoint) -> None:
        """The contrary of `attach`; call it before the entity is deleted."""
        with self._lock:
            self._endpoints.remove(endpoint)
            self._waitset.detach(endpoint.entity)

    def _receive(self) -> None:
        try:
            while not self._closing:
                self._waitset.wait(_INFINITE)
                with self._lock:
                    endpoints = tuple(self._endpoints)
                for endpoint in endpoints:
                    try:
                        endpoint.poll()
                    except DDSException as error:
                        endpoint.tell("error", "dds", f"DDS failed on {endpoint.topic}: {error}")
                        time.sleep(_AFTER_FAILURE_S)
        finally:
            if not self._closing:
                self.log("error", f"{self.names.full_name} has stopped to receive; see the error above and restart it")

    def _on_clock(self, message: Any) -> None:
        self._sim_time_ns = message.clock.sec * 1_000_000_000 + message.clock.nanosec
