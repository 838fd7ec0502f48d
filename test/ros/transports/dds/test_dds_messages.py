"""Messages over DDS: they arrive as they were sent, under the names and by the clock of ROS."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from transport_messages import CLOCK, COMPRESSED, IMAGE, NUMBER, TEXT, compressed_image, raw_image

from aue_crl_ros.messages.interfaces import typestore
from aue_crl_ros.transports.dds.types import dds_name
from aue_crl_ros.transports.transport import RESULT, Qos

SPOKEN = sorted(name for name in typestore().fielddefs if name.startswith(("aue_crl/msg/", "hri_msgs/msg/")))


def echoed(transport, peer, eventually, type_name, message):
    """`message` after its way to another process and back."""
    peer("echo", type_name)
    back = []
    transport.subscription("/back", type_name, RESULT, back.append)
    publisher = transport.publisher("/there", type_name, RESULT)

    def arrived():
        if publisher.listeners():
            publisher.publish(message)
        return back

    assert eventually(arrived)
    return back[0]


def same(transport, type_name, left, right):
    return transport.messages.serialize(type_name, left) == transport.messages.serialize(type_name, right)


def test_a_raw_image_goes_to_another_process_and_back(node, peer, eventually, photograph):
    transport = node()
    message = raw_image(transport.messages, photograph)
    back = echoed(transport, peer, eventually, IMAGE, message)
    assert (back.header.stamp.sec, back.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert (back.header.frame_id, back.encoding) == ("camera", "rgb8")
    assert np.array_equal(np.frombuffer(memoryview(back.data), np.uint8).reshape(photograph.shape), photograph)


def test_a_compressed_image_goes_to_another_process_and_back(node, peer, eventually, photograph):
    transport = node()
    message = compressed_image(transport.messages, photograph)
    back = echoed(transport, peer, eventually, COMPRESSED, message)
    assert bytes(memoryview(back.data)) == message.data.tobytes()
    assert cv2.imdecode(np.frombuffer(memoryview(back.data), np.uint8), cv2.IMREAD_COLOR).shape == photograph.shape


@pytest.mark.parametrize("type_name", SPOKEN)
def test_every_message_arrives_as_it_was_sent(node, eventually, filled, type_name):
    sender, receiver = node("sender"), node("receiver")
    got = []
    receiver.subscription("/topic", type_name, RESULT, got.append)
    publisher = sender.publisher("/topic", type_name, RESULT)
    assert eventually(publisher.listeners)
    sent = filled(type_name)
    publisher.publish(sent)
    assert eventually(lambda: got)
    assert same(sender, type_name, got[0], sent)


def test_the_topic_is_on_the_wire_as_ros_names_it(node):
    transport = node("face", "/robot")
    publisher = transport.publisher("~/expressions", "aue_crl/msg/FaceExpressionArray", RESULT)
    assert publisher.entity.topic.name == "rt/robot/face/expressions"
    assert publisher.entity.topic.typename == dds_name("aue_crl/msg/FaceExpressionArray")


def test_names_are_remapped(node, eventually):
    got = []
    node("listener").subscription("/front/image", TEXT, RESULT, got.append)
    transport = node("face", "/robot", remappings={"image": "/front/image"})
    publisher = transport.publisher("image", TEXT, RESULT)
    assert transport.resolve("image") == "/front/image"
    assert eventually(publisher.listeners)
    publisher.publish(transport.messages.new(TEXT, data="here"))
    assert eventually(lambda: got)
    assert got[0].data == "here"


def test_the_newest_message_is_delivered_last_and_none_twice(node, eventually):
    transport = node()
    got, go = [], threading.Event()

    def slowly(message):
        go.wait()
        got.append(message.data)

    transport.subscription("/count", NUMBER, Qos(reliable=True, depth=3), slowly)
    publisher = transport.publisher("/count", NUMBER, RESULT)
    assert eventually(publisher.listeners)
    for number in range(1, 21):
        publisher.publish(transport.messages.new(NUMBER, data=number))
    go.set()
    assert eventually(lambda: got and got[-1] == 20)
    assert got == sorted(set(got))
    assert len(got) < 20


def test_simulated_time_is_that_of_the_clock(node, eventually):
    simulated, real = node("simulated", use_sim_time=True), node("real")
    assert simulated.now_ns() == 0
    clock = real.publisher("/clock", CLOCK, RESULT)
    assert eventually(clock.listeners)
    clock.publish(real.messages.new(CLOCK, clock=real.messages.new("builtin_interfaces/msg/Time", sec=12, nanosec=345)))
    assert eventually(simulated.now_ns)
    assert simulated.now_ns() == 12_000_000_345
    assert real.now_ns() > 1_700_000_000 * 10**9
