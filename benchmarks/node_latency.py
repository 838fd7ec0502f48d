"""End-to-end latency and processor share of the node: images are published here, results received here.

    python benchmarks/node_latency.py                  # the node on plain DDS
    python benchmarks/node_latency.py --transport ros  # the rclpy node, in a sourced workspace

For one and four faces at 30 Hz, 640x480: milliseconds from the image's stamp to the result received, p50 and p95; the
node's processor share (100 % is one core) active, with no subscriber, and inactive (rclpy); then the same at ten times
the rate that it reached, where latency must stay bounded and frames are dropped and counted.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aue_crl_ros.transports.transport import RESULT, Qos, Transport

PORTRAIT = Path(__file__).parents[1] / "test" / "data" / "portrait.jpg"
TOPIC = "/bench/image"
CAMERA = Qos(reliable=False, depth=1)
TICKS = os.sysconf("SC_CLK_TCK")


def picture(faces: int) -> np.ndarray:
    """480x640x3 uint8 RGB with that many copies of the portrait."""
    photograph = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    canvas = np.full((480, 640, 3), 90, np.uint8)
    columns = 1 if faces == 1 else 2
    height, width = 480 // columns, 640 // columns
    tile = cv2.resize(photograph, (round(height * 512 / 600), height), interpolation=cv2.INTER_AREA)
    for number in range(faces):
        y, x = number // columns * height, number % columns * width + (width - tile.shape[1]) // 2
        canvas[y : y + height, x : x + tile.shape[1]] = tile
    return canvas


@contextmanager
def transport_of(kind: str) -> Iterator[Transport]:
    """A node of this process's own; on rclpy it is spun by a thread."""
    if kind == "dds":
        from aue_crl_ros.transports.dds.transport import DdsTransport

        with DdsTransport("bench") as transport:
            yield transport
        return
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    from aue_crl_ros.transports.ros import RosTransport

    rclpy.init()
    node = rclpy.create_node("bench")
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin)
    thread.start()
    yield RosTransport(node)
    rclpy.shutdown()
    thread.join()


def node_command(kind: str, parameters: list[str]) -> list[str]:
    """What starts the node under test, with parameters NAME:=VALUE."""
    parameters = ["threads:=1", *parameters]
    if kind == "dds":
        given = [word for parameter in parameters for word in ("--param", parameter)]
        return [sys.executable, "-m", "aue_crl_core", "node", "--image-topic", TOPIC, *given]
    from ament_index_python.packages import get_package_prefix

    executable = Path(get_package_prefix("aue_crl"), "lib", "aue_crl", "expression_node")
    given = [word for parameter in (f"image_topics:=[{TOPIC}]", *parameters) for word in ("-p", parameter)]
    return [str(executable), "--ros-args", *given]


def processor_s(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Run:
    """Publishes one picture at a rate and keeps what comes back."""

    def __init__(self, transport: Transport, image: np.ndarray, compressed: bool = False) -> None:
        """`image`, HxWx3 uint8 RGB, goes out raw, or as JPEG."""
        self._transport = transport
        self._compressed = compressed
        topic, self._type_name = TOPIC, "sensor_msgs/msg/Image"
        if compressed:
            topic, self._type_name = f"{TOPIC}/compressed", "sensor_msgs/msg/CompressedImage"
        self.show(image)
        self._publisher = transport.publisher(topic, self._type_name, CAMERA)
        self.latencies: list[float] = []
        self.faces: list[int] = []
        self.dropped: list[int] = []
        self._subscription: Any = None

    def show(self, image: np.ndarray) -> None:
        """Publish another picture from now on, HxWx3 uint8 RGB."""
        if self._compressed:
            jpeg = cv2.imencode(".jpg", image[..., ::-1])[1]
            self._fields: dict[str, Any] = {"format": "jpeg", "data": jpeg.reshape(-1)}
            return
        height, width = image.shape[:2]
        self._fields = {"height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": 3 * width}
        self._fields["data"] = np.ascontiguousarray(image).reshape(-1)

    def listen(self) -> None:
        """Subscribe to the results."""
        self._subscription = self._transport.subscription(
            "/aue_crl/expressions", "aue_crl/msg/FaceExpressionArray", RESULT, self._take
        )

    def ignore(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def close(self) -> None:
        """End both."""
        self.ignore()
        self._publisher.close()

    def publish(self, rate_hz: float, seconds: float) -> int:
        """At that rate for so long; returns how many images went out."""
        began, sent = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            due = began + sent / rate_hz
            if now < due:
                time.sleep(min(due - now, 0.05))
                continue
            self._send()
            sent += 1
        return sent

    def _send(self) -> None:
        new, now_ns = self._transport.messages.new, self._transport.now_ns()
        stamp = new("builtin_interfaces/msg/Time", sec=now_ns // 10**9, nanosec=now_ns % 10**9)
        header = new("std_msgs/msg/Header", stamp=stamp, frame_id="bench")
        self._publisher.publish(new(self._type_name, header=header, **self._fields))

    def _take(self, message: Any) -> None:
        stamp = message.header.stamp
        self.latencies.append((self._transport.now_ns() - stamp.sec * 10**9 - stamp.nanosec) * 1e-9)
        self.faces.append(len(message.faces))
        self.dropped.append(message.dropped_frames)


def measure(name: str, run: Run, pid: int, rate_hz: float, seconds: float) -> float:
    """Print one line; returns results a second."""
    run.publish(min(rate_hz, 30), 3.0)
    for values in (run.latencies, run.faces):
        values.clear()
    dropped, before, began = (run.dropped or [0])[-1], processor_s(pid), time.monotonic()
    sent = run.publish(rate_hz, seconds)
    took, used = time.monotonic() - began, processor_s(pid) - before
    lost = (run.dropped or [0])[-1] - dropped
    if run.latencies:
        p50, p95, worst = np.percentile(run.latencies, (50, 95, 100)) * 1e3
        spread = f"latency p50 {p50:6.1f} p95 {p95:6.1f} max {worst:6.1f} ms"
    else:
        spread = "no result"
    rate = len(run.latencies) / took
    faces = f"{np.mean(run.faces):.1f} faces" if run.faces else ""
    print(
        f"{name:34} {sent / took:6.1f} Hz in {rate:6.1f} Hz out {spread}, processor {used / took:4.0%}, "
        f"dropped {lost} {faces}",
        flush=True,
    )
    return rate


def main() -> None:
    """Start the node, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transport", choices=("dds", "ros"), default="dds")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--param", action="append", default=[], metavar="NAME:=VALUE", help="of the node; repeatable")
    arguments = parser.parse_args()
    node = subprocess.Popen(node_command(arguments.transport, arguments.param), stdout=subprocess.DEVNULL)
    try:
        with transport_of(arguments.transport) as transport:
            time.sleep(4)
            if arguments.transport == "ros":
                lifecycle("configure")
                idle("inactive", node.pid, arguments.seconds / 2)
                lifecycle("activate")
            for faces in (1, 4):
                run = Run(transport, picture(faces))
                measure(f"{faces} face(s), no subscriber", run, node.pid, 30, arguments.seconds / 2)
                run.listen()
                time.sleep(2)
                measure(f"{faces} face(s), 30 Hz", run, node.pid, 30, arguments.seconds)
                most = measure(f"{faces} face(s), 200 Hz", run, node.pid, 200, arguments.seconds)
                measure(f"{faces} face(s), 10 times its rate", run, node.pid, 10 * most, arguments.seconds)
                run.close()
                time.sleep(2)
    finally:
        node.send_signal(signal.SIGINT)
        print("exit code of the node:", node.wait(20))


def lifecycle(transition: str) -> None:
    """As a user would from a shell."""
    subprocess.run(["ros2", "lifecycle", "set", "/aue_crl", transition], check=True, stdout=subprocess.DEVNULL)


def idle(name: str, pid: int, seconds: float) -> None:
    """Print the processor share of a node that has nothing to do."""
    before = processor_s(pid)
    time.sleep(seconds)
    print(f"{name:34} processor {(processor_s(pid) - before) / seconds:4.0%}", flush=True)


if __name__ == "__main__":
    main()
