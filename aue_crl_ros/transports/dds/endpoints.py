"""The readers and writers of a DDS node: one ROS topic each, watched by the transport's receiving thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from cyclonedds.core import DDSException, DDSStatus, Entity
from cyclonedds.domain import DomainParticipant
from cyclonedds.internal import InvalidSample
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy
from cyclonedds.qos import Qos as DdsQos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from rosbags.serde import SerdeError

from aue_crl_core.errors import AueCrlError
from aue_crl_ros.messages.interfaces import StoreMessages
from aue_crl_ros.transports.dds.graph import NodeGraph
from aue_crl_ros.transports.dds.types import QOS_LOCK, DataTypes, user_data
from aue_crl_ros.transports.transport import Qos

MAX_BLOCKING_NS: Final = 10_000_000
"""How long a writer may wait for a slow reliable reader; with a history of the last few messages it does not wait."""
_REPEAT_NS: Final = 10_000_000_000
TAKE: Final = 16
"""Samples taken at once."""
# dds_qos_policy_id_t: the policies that can keep two ROS endpoints apart, and what to do about each
_DURABILITY, _RELIABILITY = 2, 11
_POLICIES: Final = {2: "durability", 4: "deadline", 8: "liveliness", 11: "reliability"}
_READER_REMEDY: Final = {
    _RELIABILITY: "let the publisher be reliable, or listen with best effort",
    _DURABILITY: "let the publisher be transient local, or listen with volatile durability",
}
_WRITER_REMEDY: Final = {
    _RELIABILITY: "let the subscriber ask for best effort",
    _DURABILITY: "let the subscriber ask for volatile durability",
}


def dds_qos(qos: Qos, announced: bytes) -> DdsQos:
    """cyclonedds' form of `qos`, as rmw_cyclonedds sets it; `announced` is the endpoint's user data."""
    history = Policy.History.KeepLast(qos.depth)
    policies = [
        Policy.Reliability.Reliable(MAX_BLOCKING_NS) if qos.reliable else Policy.Reliability.BestEffort,
        Policy.Durability.TransientLocal if qos.latched else Policy.Durability.Volatile,
        history,
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.Userdata(announced),
    ]
    if qos.latched:
        policies.append(Policy.DurabilityService(0, history, -1, -1, -1))
    return DdsQos(*policies)


class Connection(Protocol):
    """What an endpoint asks of the node that it belongs to (`transport.DdsTransport`)."""

    participant: DomainParticipant
    messages: StoreMessages
    types: DataTypes
    graph: NodeGraph

    def attach(self, endpoint: Endpoint) -> None:
        """Have the receiving thread call `endpoint.poll` when its entity has something to say."""
        ...

    def detach(self, endpoint: Endpoint) -> None:
        """The contrary of `attach`; call it before the entity is deleted."""
        ...

    def next_service_id(self) -> bytes:
        """16 bytes that no other service or client on the network has."""
        ...

    def log(self, level: str, text: str) -> None:
        """To the node's logger."""
        ...


class Endpoint:
    """A reader or writer that the receiving thread watches."""

    entity: Entity

    def __init__(self, transport: Connection, topic: str, type_name: str) -> None:
        self._transport, self.topic, self._type_name = transport, topic, type_name
        self._lock = threading.Lock()
        self._closed = False
        self._told_ns: dict[str, int] = {}

    def poll(self) -> None:
        """Handle what has happened to the entity; nothing after it is closed."""
        raise NotImplementedError

    def tell(self, level: str, kind: str, text: str) -> None:
        """Log `text` unless something of this `kind` was logged within ten seconds."""
        now = time.monotonic_ns()
        if now - self._told_ns.get(kind, -_REPEAT_NS) >= _REPEAT_NS:
            self._told_ns[kind] = now
            self._transport.log(level, text)

    def tell_incompatible(self, status: Any, other: str, remedy: Mapping[int, str]) -> None:
        """Log, once, that an endpoint of another node cannot be matched."""
        if status.total_count and "incompatible" not in self._told_ns:
            policy = status.last_policy_id
            self.tell(
                "warn",
                "incompatible",
                f"{other} of {self.topic} has an incompatible {_POLICIES.get(policy, f'QoS policy {policy}')}: no "
                f"message passes; {remedy.get(policy, 'compare both with `ros2 topic info -v`')}",
            )


class DdsPublisher(Endpoint):
    """One outgoing topic."""

    def __init__(self, transport: Connection, topic: str, type_name: str, qos: Qos) -> None:
        super().__init__(transport, topic, type_name)
        self._data_type = transport.types.message(type_name, "written")
        dds_topic = Topic(transport.participant, "rt" + topic, self._data_type)
        announced = user_data(transport.messages.store, type_name)
        with QOS_LOCK:
            self.entity = DataWriter(transport.participant, dds_topic, dds_qos(qos, announced))
        self.entity.set_status_mask(DDSStatus.OfferedIncompatibleQos)
        transport.graph.add(writers=(self.entity,))
        transport.attach(self)

    def publish(self, message: Any) -> None:
        """Send; a reliable reader that is slower than `depth` messages misses the old ones, it never blocks the node.

        What DDS refuses is logged. Nothing happens after `close`.
        """
        data = self._transport.messages.serialize(self._type_name, message)
        with self._lock:
            if self._closed:
                return
            try:
                self.entity.write(self._data_type(data))
            except DDSException as error:
                self.tell("warn", "refused", f"a message of {self.topic} was not sent: {error}")

    def listeners(self) -> int:
        """Matched subscriptions; 0 after `close`."""
        with self._lock:
            return 0 if self._closed else self.entity.get_publication_matched_status().current_count

    def poll(self) -> None:
        """Warn of an incompatible subscription."""
        with self._lock:
            if not self._closed:
                status = self.entity.get_offered_incompatible_qos_status()
                self.tell_incompatible(status, "a subscriber", _WRITER_REMEDY)

    def close(self) -> None:
        """Withdraw the topic."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._transport.detach(self)
        self._transport.graph.remove(writers=(self.entity,))
        del self.entity
        self._transport.types.release(self._type_name, "written", self._data_type)


class DdsSubscription(Endpoint):
    """One incoming topic."""

    def __init__(
        self, transport: Connection, topic: str, type_name: str, qos: Qos, callback: Callable[[Any], None]
    ) -> None:
        super().__init__(transport, topic, type_name)
        self._callback = callback
        self._data_type = transport.types.message(type_name, "received")
        dds_topic = Topic(transport.participant, "rt" + topic, self._data_type)
        announced = user_data(transport.messages.store, type_name)
        self.entity = DataReader(transport.participant, dds_topic, dds_qos(qos, announced))
        self.entity.set_status_mask(DDSStatus.DataAvailable | DDSStatus.RequestedIncompatibleQos)
        transport.graph.add(readers=(self.entity,))
        transport.attach(self)

    def poll(self) -> None:
        """Deliver all that has arrived, and warn of an incompatible publisher."""
        more = True
        while more:
            samples = self._take()
            more = len(samples) == TAKE
            for sample in samples:
                if not isinstance(sample, InvalidSample):
                    self._deliver(sample.data)

    def _take(self) -> list[Any]:
        with self._lock:
            if self._closed:
                return []
            status = self.entity.get_requested_incompatible_qos_status()
            self.tell_incompatible(status, "a publisher", _READER_REMEDY)
            return self.entity.take(TAKE)

    def _deliver(self, data: bytes) -> None:
        try:
            message = self._transport.messages.deserialize(self._type_name, data)
        except (SerdeError, IndexError, OverflowError, MemoryError) as error:
            self.tell(
                "warn",
                "damaged",
                f"a message of {self.topic} is not a {self._type_name} ({error}) and was dropped; does its publisher "
                "use the same version of the message?",
            )
            return
        try:
            if not self._closed:
                self._callback(message)
        except AueCrlError as error:
            self.tell("error", "callback", f"a message of {self.topic} was dropped: {error}")

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._transport.detach(self)
        self._transport.graph.remove(readers=(self.entity,))
        del self.entity
        self._transport.types.release(self._type_name, "received", self._data_type)
