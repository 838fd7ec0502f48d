"""A DDS transport refuses a domain or network that is none; closed, it sends nothing and leaves no thread."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from cyclonedds.core import Entity
from cyclonedds.idl import IdlStruct
from transport_messages import NUMBER, TEXT

from aue_crl_core.errors import ConfigError
from aue_crl_ros.transports.transport import RESULT


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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_many_topics_of_one_type_do_not_fill_the_memory(domain):
    """The topics of many faces: cyclonedds (11.0.1) took all there was for the 33rd of a type."""
    pytest.importorskip("resource")
    program = (
        "import resource\n"
        "from aue_crl_ros.transports.dds.transport import DdsTransport\n"
        "from aue_crl_ros.transports.transport import RESULT\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000,) * 2)\n"
        "with DdsTransport('crowd') as transport:\n"
        "    for number in range(20):\n"
        f"        transport.subscription(f'/in/f{{number}}', '{TEXT}', RESULT, print)\n"
        "    for number in range(60):\n"
        f"        transport.publisher(f'/out/f{{number}}', '{TEXT}', RESULT)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
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


@pytest.mark.parametrize("end", ["publisher", "subscription"])
def test_topics_that_come_and_go_leave_nothing_alive(node, end):
    transport = node()

    def come_and_go(number):
        ends = [
            transport.publisher(f"/faces/f{number}/{name}", NUMBER, RESULT)
            if end == "publisher"
            else transport.subscription(f"/faces/f{number}/{name}", NUMBER, RESULT, print)
            for name in ("roi", "facs")
        ]
        for one in ends:
            one.close()

    come_and_go(0)
    before = alive()
    for number in range(1, 11):
        come_and_go(number)
    assert alive() == before


def alive():
    """How many types of messages, readers, writers and topics there are: cyclonedds never lets go of a type."""
    gc.collect()
    found = gc.get_objects()
    return (
        sum(issubclass(type(one), type) and IdlStruct in type.mro(one) for one in found),
        sum(issubclass(type(one), Entity) for one in found),
    )
