"""Messages that the tests of the DDS transport send, and the warnings that they hear."""

from __future__ import annotations

import logging

import cv2

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
TEXT, NUMBER, CLOCK = "std_msgs/msg/String", "std_msgs/msg/UInt32", "rosgraph_msgs/msg/Clock"


def header(messages, stamp_ns=1_700_000_000_123_456_789):
    stamp = messages.new("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return messages.new("std_msgs/msg/Header", stamp=stamp, frame_id="camera")


def raw_image(messages, image):
    height, width = image.shape[:2]
    return messages.new(
        IMAGE,
        header=header(messages),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=image.reshape(-1),
    )


def compressed_image(messages, image):
    data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    return messages.new(COMPRESSED, header=header(messages), format="jpeg", data=data.reshape(-1))


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
