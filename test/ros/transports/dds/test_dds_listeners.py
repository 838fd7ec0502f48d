"""Publishers and subscriptions over DDS find each other where their qualities match, and are counted."""

from __future__ import annotations

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from transport_messages import NUMBER, TEXT, warnings_of

from aue_crl_ros.transports.dds.endpoints import dds_qos
from aue_crl_ros.transports.transport import LATCHED, RESULT, SENSOR


def test_a_late_joiner_gets_the_last_latched_message(node, peer, eventually):
    peer("hold", "seven expressions")
    held = []
    node("latched").subscription("/held", TEXT, LATCHED, held.append)
    assert eventually(lambda: held)
    assert [message.data for message in held] == ["seven expressions"]


def test_latched_writers_keep_their_history_for_late_joiners():
    from cyclonedds.qos import Policy

    assert Policy.DurabilityService in dds_qos(LATCHED, b"")
    assert Policy.DurabilityService not in dds_qos(RESULT, b"")


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
