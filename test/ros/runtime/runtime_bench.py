"""What surrounds a runtime under test: a transport with a camera, and who listens."""

from __future__ import annotations

from memory_transport import START_NS, MemoryTransport

from aue_crl_ros.parameters.declarations import Settings

SETTINGS = Settings(threads=1, min_event_s=0.0)
RESULTS = ("~/expressions", "~/events")


class Node(MemoryTransport):
    """A transport whose audience a test decides on, and a camera of it."""

    def __init__(self) -> None:
        super().__init__()
        self.listened: set[str] = {"~/expressions"}
        self.audience = lambda name: int(name in self.listened)

    def inputs(self):
        return [topic for topic in self.subscribed if topic.is_open]

    def outputs(self):
        return {topic.name for topic in self.published if topic.is_open}

    def results(self, name="~/expressions"):
        return [message for topic in self.published if topic.name == name for message in topic.sent]

    def image(self, pixels, stamp_ns=START_NS):
        height, width = pixels.shape[:2]
        fields = {"height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": 3 * width}
        return self.messages.new(
            "sensor_msgs/msg/Image", header=self.header(stamp_ns), **fields, data=pixels.reshape(-1)
        )

    def show(self, pixels, stamp_ns=START_NS, camera="image"):
        """Deliver an image to the open subscription of the topic."""
        (topic,) = [topic for topic in self.inputs() if topic.name == camera]
        topic.callback(self.image(pixels, stamp_ns))


def ids(message):
    return [face.face_id for face in message.faces]
