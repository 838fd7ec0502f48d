from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from aue_crl_core.errors import ConfigError, ImageError
from aue_crl_ros.messages.interfaces import typestore
from aue_crl_ros.transports.dds.endpoints import dds_qos
from aue_crl_ros.transports.dds.types import dds_name
from aue_crl_ros.transports.transport import LATCHED, RESULT, SENSOR, Qos

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
TEXT, NUMBER, CLOCK = "std_msgs/msg/String", "std_msgs/msg/UInt32", "rosgraph_msgs/msg/Clock"
SPOKEN = sorted(name for name in typestore().fielddefs if name.startswith(("aue_crl/msg/", "hri_msgs/msg/")))


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


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


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


def test_a_late_joiner_gets_the_last_latched_message(node, peer, eventually):
    peer("hold", "seven expressions")
    held = []
    node("latched").subscription("/held", TEXT, LATCHED, held.append)
    assert eventually(lambda: held)
    assert [message.data for message in held] == ["seven expressions"]


@pytest.mark.parametrize(("writer", "reader"), [(RESULT, RESULT), (RESULT, SENSOR), (SENSOR, SENSOR)])
def test_these_qualities_match(node, eventually, writer, reader):
    got = []
    node("listener").subscription("/count", NUMBER, reader, got.append)
    transport = node("talker")
    publisher = transport.publisher("/count", NUMBER, writer)

    def arrived():
        publisher.publish(transport.messages.new(NUMBER, data=5))
        return got

    assert eventually(arrived)
    assert publisher.listeners() == 1


@pytest.mark.parametrize(
    ("writer", "reader", "policy"),
    [(SENSOR, RESULT, "reliability"), (RESULT, LATCHED, "durability")],
)
def test_qualities_that_do_not_match_are_warned_of_once_on_both_sides(node, eventually, caplog, writer, reader, policy):
    talker, listener = node("talker"), node("listener")
    listener.subscription("/count", NUMBER, reader, print)
    publisher = talker.publisher("/count", NUMBER, writer)
    assert eventually(lambda: len(warnings_of(caplog)) == 2)
    node("third").subscription("/count", NUMBER, reader, print)
    assert eventually(lambda: publisher.entity.get_offered_incompatible_qos_status().total_count == 2)
    publisher.poll()
    mine = [text for text in warnings_of(caplog) if "a publisher" not in text]
    assert len(mine) == 1
    assert all("/count" in text and policy in text and "let the" in text for text in warnings_of(caplog))
    assert publisher.listeners() == 0


def test_listeners_are_counted_as_they_come_and_go(node, eventually):
    transport, other = node("talker"), node("listener")
    publisher = transport.publisher("/count", NUMBER, RESULT)
    assert publisher.listeners() == 0
    first = other.subscription("/count", NUMBER, RESULT, print)
    other.subscription("/count", NUMBER, SENSOR, print)
    assert eventually(lambda: publisher.listeners() == 2)
    first.close()
    assert eventually(lambda: publisher.listeners() == 1)
    other.close()
    assert eventually(lambda: publisher.listeners() == 0)


def test_a_publisher_that_dies_and_comes_back_is_heard_again(node, peer, eventually):
    got = []
    node().subscription("/count", NUMBER, RESULT, lambda message: got.append(message.data))
    first = peer("count", "reliable", "1")
    assert eventually(lambda: len(got) > 3)
    assert got[:3] == list(range(got[0], got[0] + 3))
    first.send_signal(signal.SIGKILL)
    first.wait()
    peer("count", "reliable", "1000000")
    assert eventually(lambda: got[-1] >= 1_000_000)


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


def test_what_a_callback_refuses_is_logged_and_the_next_message_comes(node, eventually, caplog):
    transport = node()
    got = []

    def picky(message):
        if not message.data:
            raise ImageError("an image must not be empty")
        got.append(message.data)

    transport.subscription("/text", TEXT, RESULT, picky)
    publisher = transport.publisher("/text", TEXT, RESULT)
    assert eventually(publisher.listeners)
    for text in ("", "", "whole"):
        publisher.publish(transport.messages.new(TEXT, data=text))
    assert eventually(lambda: got == ["whole"])
    assert len([text for text in warnings_of(caplog) if "must not be empty" in text]) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\0\0\2\0\0\0\xff\0\0\0",
        b"\0\1\0\0\2\0\0\0a\0\0\0" + bytes(400),
    ],
    ids=["not UTF-8", "longer than a string"],
)
def test_a_damaged_sample_is_logged_and_the_next_one_comes(node, eventually, caplog, data):
    transport = node()
    got = []
    transport.subscription("/text", TEXT, RESULT, got.append)
    publisher = transport.publisher("/text", TEXT, RESULT)
    assert eventually(publisher.listeners)
    publisher.entity.write(publisher.entity.data_type(data))
    publisher.publish(transport.messages.new(TEXT, data="whole"))
    assert eventually(lambda: got)
    assert [message.data for message in got] == ["whole"]
    assert any("/text" in text and "not a std_msgs/msg/String" in text for text in warnings_of(caplog))
    assert transport.receiving


def test_a_receiving_thread_that_dies_says_so(node, eventually, caplog, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    transport = node()

    def broken(message):
        raise ZeroDivisionError

    transport.subscription("/text", TEXT, RESULT, broken)
    publisher = transport.publisher("/text", TEXT, RESULT)
    assert eventually(publisher.listeners)
    publisher.publish(transport.messages.new(TEXT, data=""))
    assert eventually(lambda: not transport.receiving)
    assert any("stopped" in text for text in warnings_of(caplog))


def test_a_reader_that_hangs_costs_old_messages_and_not_the_node(node, peer, eventually, photograph):
    transport = node()
    got = []
    transport.subscription("/back", IMAGE, RESULT, lambda message: got.append(message.header.stamp.nanosec))
    publisher = transport.publisher("/there", IMAGE, RESULT)
    process = peer("echo", IMAGE)
    assert eventually(publisher.listeners)
    message = raw_image(transport.messages, photograph)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        for number in range(1, 61):
            message.header.stamp.nanosec = number
            publisher.publish(message)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert eventually(lambda: got and got[-1] == 60)


def test_what_dds_refuses_to_send_is_logged(node, caplog):
    transport = node()
    publisher = transport.publisher("/node", "rmw_dds_common/msg/NodeEntitiesInfo", RESULT)
    new = transport.messages.new
    publisher.publish(
        new(
            "rmw_dds_common/msg/NodeEntitiesInfo",
            node_namespace="/",
            node_name="longer than its bound of 256 characters" * 10,
            reader_gid_seq=[],
            writer_gid_seq=[],
        )
    )
    assert any("/node" in text and "was not sent" in text for text in warnings_of(caplog))


def test_after_close_nothing_is_sent_or_delivered(node, eventually):
    transport = node()
    got = []
    subscription = transport.subscription("/text", TEXT, RESULT, got.append)
    publisher = transport.publisher("/text", TEXT, RESULT)
    assert eventually(publisher.listeners)
    publisher.close()
    publisher.close()
    publisher.publish(transport.messages.new(TEXT, data="late"))
    assert publisher.listeners() == 0
    subscription.close()
    subscription.close()
    other = transport.publisher("/text", TEXT, RESULT)
    other.publish(transport.messages.new(TEXT, data="later"))
    transport.close()
    transport.close()
    assert not got


def test_a_topic_can_be_offered_again(node, eventually):
    transport = node()
    got = []
    transport.subscription("/text", TEXT, RESULT, got.append)
    transport.publisher("/text", TEXT, RESULT).close()
    publisher = transport.publisher("/text", TEXT, RESULT)
    assert eventually(publisher.listeners)
    publisher.publish(transport.messages.new(TEXT, data="again"))
    assert eventually(lambda: got)


def test_a_subscription_can_be_closed_by_its_own_callback(node, eventually):
    transport = node()
    got = []

    def once(message):
        got.append(message.data)
        subscription.close()

    subscription = transport.subscription("/count", NUMBER, RESULT, once)
    publisher = transport.publisher("/count", NUMBER, RESULT)
    assert eventually(publisher.listeners)
    for number in range(5):
        publisher.publish(transport.messages.new(NUMBER, data=number))
    assert eventually(lambda: publisher.listeners() == 0)
    assert got == [0]
    assert transport.receiving


def test_simulated_time_is_that_of_the_clock(node, eventually):
    simulated, real = node("simulated", use_sim_time=True), node("real")
    assert simulated.now_ns() == 0
    clock = real.publisher("/clock", CLOCK, RESULT)
    assert eventually(clock.listeners)
    clock.publish(real.messages.new(CLOCK, clock=real.messages.new("builtin_interfaces/msg/Time", sec=12, nanosec=345)))
    assert eventually(simulated.now_ns)
    assert simulated.now_ns() == 12_000_000_345
    assert real.now_ns() > 1_700_000_000 * 10**9


def test_no_thread_is_left_after_close(node):
    before = threading.active_count()
    transport = node()
    assert threading.active_count() == before + 1
    transport.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("ending", ["transport.close()", "pass", "raise SystemExit(0)"])
def test_the_process_ends_with_or_without_close(domain, ending):
    program = (
        "from aue_crl_ros.transports.dds.transport import DdsTransport\n"
        "from aue_crl_ros.transports.transport import RESULT\n"
        "transport = DdsTransport('short')\n"
        f"transport.subscription('/text', '{TEXT}', RESULT, print)\n"
        f"transport.publisher('/text', '{TEXT}', RESULT)\n"
        f"{ending}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("variable", "value"), [("ROS_DOMAIN_ID", "one"), ("ROS_DOMAIN_ID", "233")])
def test_a_domain_that_is_none_is_refused(domain, monkeypatch, variable, value):
    from aue_crl_ros.transports.dds.transport import DdsTransport

    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=r"\[0, 232\]"):
        DdsTransport("node")


def test_a_network_that_is_none_is_refused_with_the_remedy(domain):
    from aue_crl_ros.transports.dds.transport import DdsTransport

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "CYCLONEDDS_URI",
            "<CycloneDDS><Domain><General><Interfaces><NetworkInterface name='nowhere0'/></Interfaces></General>"
            "</Domain></CycloneDDS>",
        )
        with pytest.raises(ConfigError, match="CYCLONEDDS_URI"):
            DdsTransport("node", domain_id=domain + 60)


def test_latched_writers_keep_their_history_for_late_joiners():
    from cyclonedds.qos import Policy

    assert Policy.DurabilityService in dds_qos(LATCHED, b"")
    assert Policy.DurabilityService not in dds_qos(RESULT, b"")
