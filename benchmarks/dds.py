"""What a camera image costs to take in over DDS: another process publishes it, this one listens.

    python benchmarks/dds.py [IMAGE] [--seconds 5] [--rate 30] [--size 640x480]

Prints, for a raw image and the same as JPEG: how many arrive a second, latency from the publisher's stamp to the
callback (ms, median and 95th percentile), and the processor time of this whole process for each image (ms), idle time
not counted.
Set CYCLONEDDS_URI and ROS_DOMAIN_ID to choose the network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np

from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import SENSOR

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def message(transport: DdsTransport, type_name: str, image: np.ndarray) -> Any:
    """`image`, HxWx3 uint8 BGR, as a message whose stamp is filled in later."""
    new = transport.messages.new
    header = new("std_msgs/msg/Header", stamp=new("builtin_interfaces/msg/Time", sec=0, nanosec=0), frame_id="camera")
    if type_name == COMPRESSED:
        return new(type_name, header=header, format="jpeg", data=cv2.imencode(".jpg", image)[1].reshape(-1))
    return new(
        type_name,
        header=header,
        height=image.shape[0],
        width=image.shape[1],
        encoding="bgr8",
        is_bigendian=0,
        step=3 * image.shape[1],
        data=image.reshape(-1),
    )


def send(type_name: str, path: str | None, rate: float, size: tuple[int, int]) -> None:
    """Publish until killed."""
    image = np.random.default_rng(0).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    if path is not None:
        image = cv2.imread(path)
    image = cv2.resize(image, size)
    with DdsTransport("bench_sender") as transport:
        publisher = transport.publisher("/bench", type_name, SENSOR)
        sent = message(transport, type_name, image)
        while True:
            sent.header.stamp.sec, sent.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
            publisher.publish(sent)
            time.sleep(1 / rate)


def listen(type_name: str, arguments: argparse.Namespace) -> None:
    """Measure one type and print a line."""
    latencies: list[float] = []
    sizes: list[int] = []

    def take(got: Any) -> None:
        latencies.append(time.time_ns() * 1e-6 - got.header.stamp.sec * 1e3 - got.header.stamp.nanosec * 1e-6)
        sizes.append(len(memoryview(got.data)))

    command = [sys.executable, __file__, "--send", type_name, "--rate", str(arguments.rate), "--size", arguments.size]
    sender = subprocess.Popen(command + ([arguments.image] if arguments.image else []))
    try:
        with DdsTransport("bench_listener") as transport:
            transport.subscription("/bench", type_name, SENSOR, take)
            while len(latencies) < arguments.rate:
                time.sleep(0.05)
            latencies.clear()
            began = time.process_time()
            time.sleep(arguments.seconds)
            cost = (time.process_time() - began) * 1e3 / max(1, len(latencies))
            p50, p95 = np.percentile(latencies, [50, 95])
    finally:
        sender.kill()
        sender.wait()
    print(
        f"{type_name:32} {sizes[-1] / 1e3:7.0f} kB  {len(latencies) / arguments.seconds:5.1f}/s  "
        f"latency p50 {p50:5.2f} ms p95 {p95:5.2f} ms  processor {cost:5.2f} ms per image"
    )


def main() -> None:
    """Both types, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", help="a photograph; default: smooth noise")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", default="640x480", help="width x height of the images")
    parser.add_argument("--send", choices=[RAW, COMPRESSED], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        width, height = map(int, arguments.size.split("x"))
        send(arguments.send, arguments.image, arguments.rate, (width, height))
    for type_name in (RAW, COMPRESSED):
        listen(type_name, arguments)


if __name__ == "__main__":
    main()
