"""What others do wrong over DDS, dead or hanging ones too, is logged and stops nobody."""

from __future__ import annotations

import os
import signal
import threading

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from transport_messages import IMAGE, NUMBER, TEXT, raw_image, warnings_of

from aue_crl_core.errors import ImageError
from aue_crl_ros.transports.transport import RESULT


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
