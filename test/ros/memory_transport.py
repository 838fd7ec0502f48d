"""A `Transport` in memory: real messages through real CDR, no middleware."""

from __future__ import annotations

from dataclasses import dataclass, field

from aue_crl_ros.messages import conversions
from aue_crl_ros.messages.interfaces import StoreMessages

SECOND = 10**9
START_NS = 1_700_000_000 * SECOND


@dataclass
class Topic:
    """A publisher or subscription of `MemoryTransport`."""

    transport: MemoryTransport
    name: str
    type_name: str
    qos: object
    callback: object = None
    sent: list = field(default_factory=list)
    is_open: bool = True

    def publish(self, message):
        assert self.is_open, self.name
        messages = self.transport.messages
        self.sent.append(messages.deserialize(self.type_name, messages.serialize(self.type_name, message)))

    def listeners(self):
        return self.transport.audience(self.name)

    def close(self):
        assert self.is_open, self.name
        self.is_open = False


class MemoryTransport:
    """Real messages through real CDR, no middleware."""

    buffer_remedy = "larger buffers"
    image_remedy = "more memory for the camera"

    def __init__(self):
        self.messages = StoreMessages()
        self.published, self.subscribed, self.logged = [], [], []
        self.time_ns = START_NS
        self.audience = lambda name: 1

    def now_ns(self):
        return self.time_ns

    def resolve(self, topic):
        return topic

    def publisher(self, topic, type_name, qos):
        assert not [t for t in self.published if t.is_open and t.name == topic], topic
        self.published.append(Topic(self, topic, type_name, qos))
        return self.published[-1]

    def subscription(self, topic, type_name, qos, callback):
        self.subscribed.append(Topic(self, topic, type_name, qos, callback))
        return self.subscribed[-1]

    def log(self, level, text):
        self.logged.append((level, text))

    def offered(self):
        return {t.name.removeprefix("/humans/faces/") for t in self.published if t.is_open}

    def followed(self):
        return {t.name.removeprefix("/humans/faces/") for t in self.subscribed if t.is_open}

    def sent(self, name):
        return [m for t in self.published if t.name == f"/humans/faces/{name}" for m in t.sent]

    def last(self, name):
        return self.sent(name)[-1]

    def header(self, stamp_ns=START_NS, frame_id="camera_optical"):
        return conversions.header(self.messages, stamp_ns, frame_id)

    def receive(self, name, message):
        for topic in [t for t in self.subscribed if t.is_open and t.name == f"/humans/faces/{name}"]:
            data = self.messages.serialize(topic.type_name, message)
            topic.callback(self.messages.deserialize(topic.type_name, data))
