"""A caller of ROS 2 services over DDS, as rmw_cyclonedds makes one."""

from __future__ import annotations

import itertools

from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from aue_crl_ros.messages.interfaces import StoreMessages
from aue_crl_ros.transports.dds.endpoints import dds_qos
from aue_crl_ros.transports.dds.types import DataTypes, join_response, split_request
from aue_crl_ros.transports.transport import RESULT


class Client:
    """A caller as rmw_cyclonedds makes one."""

    numbers = itertools.count(1)

    def __init__(self, domain, name, type_name, reader_first=True):
        self.messages = StoreMessages()
        self.type_name = type_name
        self.participant = DomainParticipant(domain)
        types = DataTypes(self.messages.store)
        self.id = next(self.numbers)
        self.qos = dds_qos(RESULT, f"clientid={self.id:x};".encode())
        self.request = types.service(f"{type_name}_Request")
        self.writer = DataWriter(self.participant, Topic(self.participant, f"rq{name}Request", self.request), self.qos)
        self.replies = Topic(self.participant, f"rr{name}Reply", types.service(f"{type_name}_Response"))
        self.reader = self.listen() if reader_first else None

    def listen(self):
        return DataReader(self.participant, self.replies, self.qos)

    def available(self):
        return self.writer.get_matched_subscriptions() and self.reader.get_matched_publications()

    def send(self, number, **fields):
        request = self.messages.new(f"{self.type_name}_Request", **fields)
        data = self.messages.serialize(f"{self.type_name}_Request", request)
        self.writer.write(self.request(join_response((self.id, number), data)))

    def close(self):
        del self.reader, self.writer, self.replies, self.participant

    def answers(self):
        """(client, number), message of what has come since the last call."""
        parts = [split_request(sample.data) for sample in self.reader.take(16)]
        return [(key, self.messages.deserialize(f"{self.type_name}_Response", body)) for key, body in parts]
