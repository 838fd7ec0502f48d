from __future__ import annotations

import logging
import threading

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from cyclonedds.qos import Policy
from dds_client import Client

from aue_crl_core.errors import ConfigError
from aue_crl_ros.transports.dds.types import dds_name, join_response
from aue_crl_ros.transports.transport import RESULT

FORGET, CALIBRATE = "aue_crl/srv/ForgetNeutral", "aue_crl/srv/CalibrateNeutral"


@pytest.fixture
def client(node, domain):
    """Makes a `Client`, gone before the nodes: see `dds.graph` on which types may outlive which."""
    made = []

    def make(*arguments, **options):
        made.append(Client(domain, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def forgetting(transport):
    def forget(request):
        return transport.messages.new(f"{FORGET}_Response", success=True, message=f"forgot {request.face_id}")

    return forget


def test_each_caller_gets_the_answers_to_its_own_requests(node, client, eventually):
    transport = node("face", "/robot")
    transport.service("~/forget", FORGET, forgetting(transport))
    callers = [client("/robot/face/forget", FORGET) for _ in range(2)]
    assert eventually(lambda: all(caller.available() for caller in callers))
    for caller in callers:
        for number in (1, 2):
            caller.send(number, face_id=f"face{caller.id}_{number}")
    for caller in callers:
        got = {}

        def arrived(caller=caller, got=got):
            got.update(caller.answers())
            return len(got) == 4

        assert eventually(arrived)
        for number in (1, 2):
            answer = got[(caller.id, number)]
            assert answer.success is True
            assert answer.message == f"forgot face{caller.id}_{number}"


def test_a_long_request_holds_up_neither_messages_nor_other_requests(node, client, eventually):
    transport = node("face")
    go, got = threading.Event(), []

    def handle(request):
        if request.face_id == "slow":
            go.wait(60)
        return forgetting(transport)(request)

    transport.service("/forget", FORGET, handle)
    transport.subscription("/text", "std_msgs/msg/String", RESULT, got.append)
    publisher = transport.publisher("/text", "std_msgs/msg/String", RESULT)
    caller = client("/forget", FORGET)
    assert eventually(lambda: caller.available() and publisher.listeners())
    caller.send(1, face_id="slow")
    caller.send(2, face_id="quick")
    publisher.publish(transport.messages.new("std_msgs/msg/String", data=""))
    answers = []

    def arrived(number):
        answers.extend(caller.answers())
        return number in [key[1] for key, _ in answers]

    assert eventually(lambda: arrived(2) and got)
    assert [key[1] for key, _ in answers] == [2]
    go.set()
    assert eventually(lambda: arrived(1))


def test_an_answer_waits_for_a_caller_whose_ears_open_late(node, client, eventually, monkeypatch):
    monkeypatch.setattr("aue_crl_ros.transports.dds.service._CLIENT_WAIT_S", 60.0)
    transport = node("face")
    asked = threading.Event()

    def handle(request):
        asked.set()
        return forgetting(transport)(request)

    transport.service("/forget", FORGET, handle)
    caller = client("/forget", FORGET, reader_first=False)
    assert eventually(caller.writer.get_matched_subscriptions)
    caller.send(1, face_id="a")
    assert asked.wait(60)
    caller.reader = caller.listen()
    assert eventually(lambda: [key for key, _ in caller.answers()] == [(caller.id, 1)])


def test_a_handler_that_refuses_and_a_damaged_request_are_logged(node, client, eventually, caplog):
    transport = node("face")

    def handle(request):
        if not request.face_id:
            raise ConfigError("face_id must not be empty")
        return forgetting(transport)(request)

    transport.service("/forget", FORGET, handle)
    caller = client("/forget", FORGET)
    assert eventually(caller.available)
    caller.send(1, face_id="")
    caller.writer.write(caller.request(join_response((caller.id, 2), b"\0\1\0\0\2\0\0\0\xff\0\0\0")))
    caller.send(3, face_id="a")
    assert eventually(lambda: [key for key, _ in caller.answers()] == [(caller.id, 3)])
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any("no answer" in text and "must not be empty" in text for text in texts)
    assert any(f"not a {FORGET}_Request" in text for text in texts)


def test_a_service_is_on_the_wire_as_rmw_cyclonedds_names_it(node):
    service = node("face", "/robot").service("~/calibrate", CALIBRATE, print)
    reader, writer = service.entity, service._writer
    assert (reader.topic.name, reader.topic.typename) == (
        "rq/robot/face/calibrateRequest",
        dds_name(f"{CALIBRATE}_Request"),
    )
    assert (writer.topic.name, writer.topic.typename) == (
        "rr/robot/face/calibrateReply",
        dds_name(f"{CALIBRATE}_Response"),
    )
    announced = [entity.get_qos()[Policy.Userdata].data.split(b";") for entity in (reader, writer)]
    assert announced[0][0] == announced[1][0]
    assert announced[0][0].startswith(b"serviceid=")
    assert all(data[1].startswith(b"typehash=RIHS01_") for data in announced)


def test_services_of_one_node_have_ids_of_their_own(node):
    transport = node("face")
    services = [transport.service(name, FORGET, print) for name in ("a", "b")]
    ids = {service.entity.get_qos()[Policy.Userdata].data.split(b";")[0] for service in services}
    assert len(ids) == 2


def test_a_closed_service_is_gone_and_leaves_no_thread(node, client, eventually):
    transport = node("face")
    before = threading.active_count()
    service = transport.service("/forget", FORGET, forgetting(transport))
    caller = client("/forget", FORGET)
    assert eventually(caller.available)
    caller.send(1, face_id="a")
    assert eventually(caller.answers)
    service.close()
    service.close()
    assert eventually(lambda: not caller.available())
    assert eventually(lambda: threading.active_count() == before)
