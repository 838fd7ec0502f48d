"""A plain ROS node for the launch tests: publishes images, collects messages, calls services."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

PORTRAIT = Path(__file__).parents[1] / "data" / "portrait.jpg"


def portrait() -> np.ndarray:
    """640x480x3 uint8 RGB with one face."""
    photograph = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    scaled = cv2.resize(photograph, (410, 480), interpolation=cv2.INTER_AREA)
    canvas = np.full((480, 640, 3), 90, np.uint8)
    canvas[:, 115:525] = scaled
    return canvas


def encoded(image: np.ndarray, encoding: str) -> np.ndarray:
    """The pixels of an RGB image as `sensor_msgs/Image.data` of that encoding holds them (rows first)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if encoding.startswith("bayer_"):
        return _mosaic(image, encoding)
    if encoding in ("yuv422", "yuv422_yuy2"):
        ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YUV)
        packed = np.empty((*grey.shape, 2), np.uint8)
        luma, chroma = (1, 0) if encoding == "yuv422" else (0, 1)
        packed[..., luma] = ycc[..., 0]
        packed[:, 0::2, chroma], packed[:, 1::2, chroma] = ycc[:, 0::2, 1], ycc[:, 0::2, 2]
        return packed
    return {
        "rgb8": image,
        "bgr8": image[..., ::-1],
        "rgba8": np.dstack([image, np.full(grey.shape, 255, np.uint8)]),
        "bgra8": np.dstack([image[..., ::-1], np.full(grey.shape, 255, np.uint8)]),
        "mono8": grey,
        "mono16": grey.astype(np.uint16) * 257,
    }[encoding]


def _mosaic(image: np.ndarray, encoding: str) -> np.ndarray:
    letters = encoding[len("bayer_") : len("bayer_") + 4]
    flat = np.empty(image.shape[:2], np.uint8)
    for place, letter in enumerate(letters):
        row, column = divmod(place, 2)
        flat[row::2, column::2] = image[row::2, column::2, "rgb".index(letter)]
    return flat


class Probe:
    """One node of the test's own, spun by whoever waits."""

    def __init__(self, name: str) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node(name, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def close(self) -> None:
        """End the node."""
        self.node.destroy_node()
        self.executor.shutdown()
        rclpy.shutdown(context=self.context)

    def wait(
        self, done: Callable[[], Any], what: str, timeout_s: float = 15.0, each: Callable[[], None] | None = None
    ) -> Any:
        """Spin until `done` gives something true; calls `each` about every 0.1 s."""
        end, again = time.monotonic() + timeout_s, 0.0
        while time.monotonic() < end:
            if each is not None and time.monotonic() >= again:
                each()
                again = time.monotonic() + 0.1
            self.executor.spin_once(timeout_sec=0.02)
            if got := done():
                return got
        raise AssertionError(f"{what} did not come within {timeout_s} s")

    def quiet(self, seconds: float) -> None:
        """Spin for that long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def collect(self, kind: type, topic: str, reliable: bool = True, depth: int = 50) -> Collected:
        """Subscribe and keep all that comes."""
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        return Collected(self, kind, topic, QoSProfile(depth=depth, reliability=reliability))

    def call(self, kind: type, service: str, timeout_s: float = 15.0, **request: Any) -> Any:
        """Call a service and wait for its answer."""
        client = self.node.create_client(kind, service)
        try:
            self.wait(client.service_is_ready, f"service {service}", timeout_s)
            future = client.call_async(kind.Request(**request))
            self.wait(future.done, f"answer of {service}", timeout_s)
            return future.result()
        finally:
            self.node.destroy_client(client)

    def image(self, encoding: str = "rgb8", stamp: Any = None, frame_id: str = "camera") -> Image:
        """The portrait as a message, stamped now."""
        pixels = np.ascontiguousarray(encoded(portrait(), encoding))
        message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=0)
        message.step = pixels.nbytes // pixels.shape[0]
        message.data = pixels.tobytes()
        message.header.frame_id = frame_id
        message.header.stamp = stamp or self.node.get_clock().now().to_msg()
        return message

    def compressed_image(self, frame_id: str = "camera") -> CompressedImage:
        """The portrait as JPEG, stamped now."""
        _, data = cv2.imencode(".jpg", portrait()[..., ::-1])
        message = CompressedImage(format="jpeg", data=data.tobytes())
        message.header.frame_id = frame_id
        message.header.stamp = self.node.get_clock().now().to_msg()
        return message


class Collected:
    """The messages of one topic since the subscription began."""

    def __init__(self, probe: Probe, kind: type, topic: str, qos: QoSProfile) -> None:
        self._probe = probe
        self.messages: list[Any] = []
        self._subscription = probe.node.create_subscription(kind, topic, self.messages.append, qos)

    def close(self) -> None:
        """Unsubscribe."""
        self._probe.node.destroy_subscription(self._subscription)
