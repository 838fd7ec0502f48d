"""What surrounds a node under test: its process, a camera, listeners."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path

import cv2

from aue_crl_ros.transports.transport import RESULT, Qos

ROOT = Path(__file__).parents[2]
S = 1_000_000_000
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
EXPRESSIONS, EVENT, MODEL = (
    f"aue_crl/msg/{name}" for name in ("FaceExpressionArray", "ExpressionEvent", "ModelDescription")
)
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
CAMERAS = ("neutral", "value", "left", "right", "silent", "events", "damaged", "stopped", "played", "hri")
"""Those of the node that most tests share."""
REPEAT_S = 2.0


class Process:
    """A process of the test's own, its words in a file."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("w") as words:
            self._process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=words, stderr=words)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """The exit code, which must come within a minute."""
        return self._process.wait(timeout=60)

    def runs(self) -> bool:
        return self._process.poll() is None

    def words(self) -> str:
        return self.log.read_text()

    def memory_mb(self) -> float:
        """What it has of its own, in memory or swapped out; what is mapped from files comes and goes."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines())
        return sum(int(status[key].split()[0]) for key in ("RssAnon", "VmSwap")) / 1e3

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Listener:
    """The messages of a topic."""

    def __init__(self, transport, topic, type_name, qos=RESULT) -> None:
        self.heard = []
        self._subscription = transport.subscription(topic, type_name, qos, self.heard.append)
        self.close = self._subscription.close

    def publishers(self) -> int:
        return self._subscription.entity.get_subscription_matched_status().current_count


class Camera:
    """Shows one image at a time and waits for what the node says of it."""

    def __init__(self, transport, topic, eventually, clock=time.time_ns) -> None:
        self.transport, self.topic, self._eventually, self._clock = transport, topic, eventually, clock
        compressed = topic.endswith("/compressed")
        self._type = COMPRESSED if compressed else IMAGE
        self.publisher = transport.publisher(topic, self._type, Qos(reliable=True, depth=1))

    def message(self, image, stamp_ns, frame_id="head/optische Linse ñ", **changes):
        new = self.transport.messages.new
        stamp = new("builtin_interfaces/msg/Time", sec=stamp_ns // S, nanosec=stamp_ns % S)
        header = new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)
        if self._type == COMPRESSED:
            data = cv2.imencode(".jpg", image[:, :, ::-1])[1].reshape(-1)
            return new(COMPRESSED, **{"header": header, "format": "jpeg", "data": data} | changes)
        height, width = image.shape[:2]
        fields = {"height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": 3 * width}
        return new(IMAGE, **{"header": header, **fields, "data": image.reshape(-1)} | changes)

    def wait_for_the_node(self):
        assert self._eventually(self.publisher.listeners), f"nobody listens to {self.topic}"

    def show(self, image, results, stamp_ns=None):
        """The message that was sent, and the answer to it. It is sent again where loopback has lost a piece of it."""
        self.wait_for_the_node()
        sent = self.message(image, self._clock() if stamp_ns is None else stamp_ns)
        times = 0

        def answered():
            nonlocal times
            if (time.monotonic() - began) // REPEAT_S >= times:
                self.publisher.publish(sent)
                times += 1
            return answers(sent, results)

        began = time.monotonic()
        assert self._eventually(answered), f"no answer to an image of {self.topic}"
        assert len(answers(sent, results)) <= times
        return sent, answers(sent, results)[0]


def steps_of_a_tenth():
    """A clock by which a face is not lost, however long discovery, or an image sent again, takes."""
    return itertools.count(time.time_ns(), S // 10).__next__


def answers(sent, results):
    return [answer for answer in results if answer.header == sent.header]


def stamp_ns(stamp):
    return stamp.sec * S + stamp.nanosec


def latest_status(diagnostics, name):
    statuses = [status for array in diagnostics for status in array.status if status.name == name]
    return statuses[-1] if statuses else None


def values_of(status):
    return {pair.key: pair.value for pair in status.values}
