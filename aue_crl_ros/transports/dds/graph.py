"""Tells ROS 2 which node the readers and writers of this participant belong to: the topic `ros_discovery_info`.

Source: rmw_dds_common, `msg/ParticipantEntitiesInfo.msg` and the design of ros2/design pull request 250 ("Context is a
participant"). Identities ("gids") are 16 bytes, on Humble 24, of which the last 8 are zero.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Final

import numpy as np
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.topic import Topic
from rosbags.typesys import Stores, get_typestore

from aue_crl_ros.transports.dds.types import QOS_LOCK, DataTypes, user_data

if TYPE_CHECKING:
    from cyclonedds.core import Entity
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.idl import IdlStruct
    from rosbags.typesys.store import Typestore

TOPIC: Final = "ros_discovery_info"
ENCLAVE: Final = b"enclave=/;"
"""User data of a participant that speaks ROS 2, outside of any security enclave."""
_TYPE: Final = "rmw_dds_common/msg/ParticipantEntitiesInfo"
_MAX_BLOCKING_NS: Final = 100_000_000


@functools.cache
def _types(gid_size: int) -> tuple[Typestore, type[IdlStruct]]:
    """The messages of the distribution, and the one data type for all nodes of this process.

    cyclonedds (11.0.1) keeps one instance entry for all keyless topics of a domain, which points to the type of the
    first topic written and is left dangling when that goes. With this topic the first of every node, the last to go,
    and its type shared, the type outlives all others.
    """
    store = get_typestore(Stores.ROS2_HUMBLE if gid_size == 24 else Stores.ROS2_JAZZY)
    return store, DataTypes(store).message(_TYPE, "written")


def _gid_size() -> int:
    return 24 if os.environ.get("ROS_DISTRO") == "humble" else 16


class NodeGraph:
    """One node's entry: kept up to date with every reader and writer that comes or goes.

    Make it before any other topic of the participant, and drop it after them.
    """

    def __init__(self, participant: DomainParticipant, namespace: str, name: str, gid_size: int | None = None) -> None:
        """`gid_size` is 16, or 24 for Humble; by default as the environment variable ROS_DISTRO says."""
        self._size = gid_size or _gid_size()
        self._store, self._data_type = _types(self._size)
        self._participant_gid = participant.guid.bytes
        self._namespace, self._name = namespace, name
        self._lock = threading.Lock()
        self._readers: list[bytes] = []
        self._writers: list[bytes] = []
        qos = Qos(
            Policy.Reliability.Reliable(_MAX_BLOCKING_NS),
            Policy.Durability.TransientLocal,
            Policy.History.KeepLast(1),
            Policy.DurabilityService(0, Policy.History.KeepLast(1), -1, -1, -1),
            Policy.DataRepresentation(use_cdrv0_representation=True),
            Policy.Userdata(user_data(self._store, _TYPE)),
        )
        topic = Topic(participant, TOPIC, self._data_type)
        with QOS_LOCK:
            self._writer = DataWriter(participant, topic, qos)
        self._publish()

    def add(self, *, readers: tuple[Entity, ...] = (), writers: tuple[Entity, ...] = ()) -> None:
        """Announce endpoints of the node."""
        with self._lock:
            self._readers += [reader.guid.bytes for reader in readers]
            self._writers += [writer.guid.bytes for writer in writers]
            self._publish()

    def remove(self, *, readers: tuple[Entity, ...] = (), writers: tuple[Entity, ...] = ()) -> None:
        """Announce that endpoints go; call it before they are deleted."""
        with self._lock:
            for reader in readers:
                self._readers.remove(reader.guid.bytes)
            for writer in writers:
                self._writers.remove(writer.guid.bytes)
            self._publish()

    def _publish(self) -> None:
        types = self._store.types
        node = types["rmw_dds_common/msg/NodeEntitiesInfo"](
            node_namespace=self._namespace,
            node_name=self._name,
            reader_gid_seq=[self._gid(gid) for gid in self._readers],
            writer_gid_seq=[self._gid(gid) for gid in self._writers],
        )
        message = types[_TYPE](gid=self._gid(self._participant_gid), node_entities_info_seq=[node])
        self._writer.write(self._data_type(bytes(self._store.serialize_cdr(message, _TYPE))))

    def _gid(self, guid: bytes) -> object:
        data = np.frombuffer(guid.ljust(self._size, b"\0"), np.uint8)
        return self._store.types["rmw_dds_common/msg/Gid"](data=data)
