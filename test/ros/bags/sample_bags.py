"""Bags of the tests' own: written, given to `aue-crl bag`, read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, Reader, StoragePlugin, Writer

from aue_crl_core.cli.main import main
from aue_crl_ros.messages.interfaces import StoreMessages

MESSAGES = StoreMessages()
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000


def header(stamp_ns, frame_id="eye"):
    stamp = MESSAGES.new("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return MESSAGES.new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def raw(image, stamp_ns, encoding="bgr8"):
    pixels = image[..., ::-1] if encoding == "bgr8" else image
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    h, w = image.shape[:2]
    return MESSAGES.new(
        "sensor_msgs/msg/Image",
        header=header(stamp_ns),
        height=h,
        width=w,
        encoding=encoding,
        is_bigendian=0,
        step=data.size // h,
        data=data,
    )


def jpeg(image, stamp_ns):
    data = cv2.imencode(".jpg", image[..., ::-1])[1].reshape(-1)
    return MESSAGES.new("sensor_msgs/msg/CompressedImage", header=header(stamp_ns, "left"), format="jpeg", data=data)


def stamps(count):
    return [START + i * PERIOD for i in range(count)]


def small(portrait, count=2):
    return {"/cam": ("sensor_msgs/msg/Image", [(s, raw(portrait, s)) for s in stamps(count)])}


def write(path, topics, storage="sqlite3", compression=None, qos=()):
    """`topics`: name -> (type, [(timestamp, message or bytes)])."""
    with_compression = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        with_compression.set_compression(compression, CompressionFormat.ZSTD)
    with_compression.set_custom_data("robot", "pepper")
    with with_compression as writer:
        entries = []
        for name, (type_name, messages) in topics.items():
            connection = writer.add_connection(
                name, type_name, typestore=MESSAGES.store, offered_qos_profiles=list(qos)
            )
            for timestamp, message in messages:
                data = message if isinstance(message, bytes) else MESSAGES.serialize(type_name, message)
                entries.append((timestamp, connection, data))
        for timestamp, connection, data in sorted(entries, key=lambda entry: entry[0]):
            writer.write(connection, timestamp, data)
    return path


def read(path):
    """topic -> [(timestamp, bytes)], and the connections by topic."""
    found = {}
    with Reader(path) as reader:
        connections = {c.topic: c._replace(id=0, owner=None) for c in reader.connections}
        for connection, timestamp, data in reader.messages():
            found.setdefault(connection.topic, []).append((timestamp, bytes(data)))
        custom = reader.storage.metadata.custom
    return found, connections, custom


def decoded(path, topic):
    """The topic's messages as any reader of rosbags sees them, by the definitions in the bag."""
    with AnyReader([path]) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        return [(t, reader.deserialize(data, c.msgtype)) for c, t, data in reader.messages(connections=connections)]


def bag(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["bag", *map(str, arguments)])
    return ended.value.code or 0
