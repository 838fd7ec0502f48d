"""What the node says of itself, in every state that it can be in."""

from __future__ import annotations

import re
from contextlib import closing
from functools import partial
from unittest.mock import ANY

import numpy as np
import pytest
from memory_transport import SECOND, START_NS, MemoryTransport

pytest.importorskip("onnxruntime")
pytest.importorskip("rosbags")

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.engines.spare import SparingEngine
from aue_crl_core.errors import DeviceMemoryError
from aue_crl_ros.messages.diagnostics import ERROR, OK, WARN, diagnostic_array
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.runtime import ExpressionRuntime, load_analyzer

SETTINGS = Settings(threads=1, image_topics=("/left", "/right"))
TYPE = "diagnostic_msgs/msg/DiagnosticArray"
FACTS = {"weights": "edge", "engine": "onnx", "device": "cpu", "precision": "fp32"}


@pytest.fixture
def transport():
    return MemoryTransport()


@pytest.fixture
def runtime(transport):
    runtime = ExpressionRuntime(transport, SETTINGS)
    yield runtime
    runtime.close()


@pytest.fixture
def told(transport):
    """The statuses by name, after their way through CDR; stale after an hour unless the test says otherwise."""

    def read(runtime, stale_after_s=600.0):
        settings = SETTINGS.changed({"stale_after_s": stale_after_s})
        message = diagnostic_array(transport, "/robot/aue_crl", settings, runtime)
        messages = transport.messages
        array = messages.deserialize(TYPE, messages.serialize(TYPE, message))
        assert array.header == transport.header(transport.time_ns, "")
        assert {status.hardware_id for status in array.status} == {"/robot/aue_crl"}
        return {status.name.removeprefix("/robot/aue_crl").removeprefix(": "): status for status in array.status}

    return read


@pytest.fixture
def show(transport):
    def deliver(camera, pixels, **changes):
        height, width = pixels.shape[:2]
        fields = {"height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": 3 * width}
        message = transport.messages.new(
            "sensor_msgs/msg/Image", **{"header": transport.header(), **fields, "data": pixels.reshape(-1)} | changes
        )
        (topic,) = [topic for topic in transport.subscribed if topic.is_open and topic.name == camera]
        topic.callback(message)

    return deliver


@pytest.fixture
def processed_by(eventually):
    """Waits until so many of a camera's images were read or have failed."""

    def count(runtime, camera):
        seen = runtime.session.statistics.snapshot().get(camera)
        return seen.processed + seen.failed if seen is not None else 0

    return lambda runtime, camera, number: eventually(lambda: count(runtime, camera) == number)


@pytest.fixture
def processed(runtime, processed_by):
    return partial(processed_by, runtime)


class Full:
    """An engine on a GPU that others have filled."""

    device = "cuda:0"

    def __init__(self, engine):
        self.name, self.precision = engine.name, engine.precision
        self.config, self.landmark_size = engine.config, engine.landmark_size

    def landmarks(self, crops):
        raise DeviceMemoryError("cuda:0 must have memory for 1 faces at once")

    predict = landmarks

    def close(self):
        pass


def values_of(status):
    return {pair.key: pair.value for pair in status.values}


def test_unconfigured(told):
    ((name, status),) = told(None).items()
    assert (name, status.level, status.message) == ("", OK, "unconfigured: no weights are loaded")
    assert status.values == []


def test_inactive(told, runtime):
    ((_, status),) = told(runtime).items()
    assert (status.level, status.message) == (OK, "inactive: images are not read")
    assert values_of(status) == FACTS


def test_active_and_nobody_listens(told, runtime, transport):
    transport.audience = lambda name: 0
    runtime.activate()
    ((_, status),) = told(runtime, 0.1).items()
    assert (status.level, status.message) == (OK, "active; nobody listens, so images are not read")
    assert values_of(status) == FACTS | {"lost datagrams": "0"}


def test_reading(told, runtime, transport, show, eventually, photograph):
    runtime.activate()
    transport.time_ns = START_NS + 25_000_000
    show("/left", photograph)
    assert eventually(lambda: "ms" in values_of(told(runtime)["/left"])["latency p50"])
    statuses = told(runtime)
    assert list(statuses) == ["", "/left", "/right"]
    assert (statuses[""].level, statuses[""].message) == (OK, "reading images")
    assert statuses["/left"].level == OK
    assert re.fullmatch(r"[0-2]\.\d of [0-2]\.\d images a second", statuses["/left"].message)
    values = values_of(statuses["/left"])
    assert list(values) == [
        *("input rate", "output rate", "latency p50", "latency p95"),
        *("received", "dropped", "failed", "damaged", "missing", "faces"),
    ]
    for name in ("input rate", "output rate"):
        assert 0 < float(values[name].removesuffix(" Hz")) <= 2
    assert (values["latency p50"], values["latency p95"]) == ("25.0 ms", "25.0 ms")
    assert [values[name] for name in ("received", "dropped", "failed", "faces")] == ["1", "0", "0", "1"]
    assert values_of(statuses["/right"])["latency p50"] == "not measured"


def test_networks_that_had_to_leave_their_device_are_warned_of(
    told, transport, show, processed_by, photograph, monkeypatch
):
    def load(settings):
        analyzer = load_analyzer(settings)
        engine = analyzer.engine
        return FaceAnalyzer(SparingEngine(Full(engine), lambda: engine), analyzer.detector, analyzer.config)

    monkeypatch.setattr("aue_crl_ros.runtime.load_analyzer", load)
    with closing(ExpressionRuntime(transport, SETTINGS)) as runtime:
        runtime.activate()
        assert values_of(told(runtime)[""])["device"] == "cuda:0"
        show("/left", photograph)
        assert processed_by(runtime, "/left", 1)
        status = told(runtime)[""]
        assert (status.level, values_of(status)["device"]) == (WARN, "cpu")
        assert status.message == (
            "the networks run on cpu: cuda:0 had no memory left; configure the node again to return to it"
        )
        assert values_of(told(runtime)["/left"])["faces"] == "1"


def test_a_camera_that_never_came_is_warned_of_when_it_was_given_its_time(told, runtime, eventually):
    runtime.activate()
    assert {status.level for status in told(runtime).values()} == {OK}
    assert eventually(lambda: told(runtime, 0.1)["/left"].level == WARN)
    statuses = told(runtime, 0.1)
    assert statuses["/left"].message == "no image yet: does the camera publish, on this topic, of this type?"
    assert (statuses["/right"].level, statuses[""].level) == (WARN, OK)


def test_a_camera_that_has_fallen_silent_is_warned_of_and_the_other_is_not(told, runtime, show, eventually, photograph):
    runtime.activate()
    small = np.ascontiguousarray(photograph[::4, ::4])

    def left_is_silent():
        show("/right", small)
        return told(runtime, 0.2)["/left"].message.startswith("no image for ")

    show("/left", small)
    assert eventually(left_is_silent)
    statuses = told(runtime, 0.2)
    assert (statuses["/left"].level, statuses["/right"].level) == (WARN, OK)
    assert statuses["/left"].message.endswith(" s: does the camera publish, on this topic, of this type?")


def test_a_camera_is_not_silent_while_nobody_wants_its_images(
    told, runtime, transport, show, processed, eventually, photograph
):
    runtime.activate()
    show("/left", photograph)
    assert processed("/left", 1)
    assert eventually(lambda: told(runtime, 0.1)["/left"].level == WARN)
    transport.audience = lambda name: 0
    runtime.poll()
    statuses = told(runtime, 0.1)
    assert list(statuses) == ["", "/left"]
    assert statuses["/left"].level == OK
    transport.audience = lambda name: 1
    runtime.poll()
    assert told(runtime, 0.1)["/left"].level == OK  # it has only just been asked again


def test_images_that_cannot_be_decoded_are_warned_of(told, runtime, show, processed, photograph):
    runtime.activate()
    show("/left", photograph, encoding="fancy8")
    assert processed("/left", 1)
    status = told(runtime)["/left"]
    assert (status.level, status.message) == (WARN, "1 images could not be decoded; the log says why")
    assert values_of(status)["failed"] == "1"
    assert told(runtime)["/right"].level == OK


def test_dropped_images_are_counted(told, runtime, show, processed, photograph):
    runtime.activate()
    with runtime.session._lock:  # the worker is held up
        for _ in range(4):
            show("/left", photograph)
    assert processed("/left", 1)
    values = values_of(told(runtime)["/left"])
    assert (values["received"], values["dropped"]) == ("4", "3")


def test_images_that_never_came_are_warned_of_and_logged_once(told, runtime, transport, show, photograph):
    runtime.activate()
    small = np.ascontiguousarray(photograph[::8, ::8])
    for number in [i for i in range(40) if i % 4]:
        show("/left", small, header=transport.header(START_NS + number * SECOND // 30))
        runtime.poll()
    status = told(runtime)["/left"]
    said = (
        "24% of the last images did not arrive, as the stamps of the others tell: more memory for the camera, "
        "or image_transport:=compressed"
    )
    assert (status.level, status.message) == (WARN, said)
    assert values_of(status)["missing"] == "9"
    assert told(runtime)["/right"].level == OK
    assert [text for level, text in transport.logged if "did not arrive" in text] == [ANY]


def test_images_that_do_not_fit_the_receive_buffer_are_warned_of_and_logged_once(
    told, runtime, transport, show, overflow, photograph
):
    runtime.activate()
    for tenth in (0, 1, 2, 5):
        header = transport.header(START_NS + tenth * SECOND // 10)
        show("/left", photograph, header=header)
    assert told(runtime)[""].level == OK
    overflow()
    runtime.poll()
    status = told(runtime)[""]
    assert status.level == WARN
    assert re.fullmatch(
        r"images are lost on their way: \d+ datagrams did not fit the receive buffer; larger buffers, "
        r"or image_transport:=compressed",
        status.message,
    )
    assert int(values_of(status)["lost datagrams"]) > 0
    assert values_of(told(runtime)["/left"])["missing"] == "2"
    overflow()
    runtime.poll()
    assert [level for level, text in transport.logged if "larger buffers" in text] == ["warn"]
    runtime.deactivate()
    runtime.activate()
    assert told(runtime)[""].level == OK


def test_a_failure_is_an_error_with_its_remedy(told, runtime, show, eventually, photograph, monkeypatch):
    runtime.activate()

    def broken(crops, points):
        raise RuntimeError("device lost")

    monkeypatch.setattr(runtime.session._analyzer.engine, "predict", broken)
    show("/left", photograph)
    assert eventually(lambda: runtime.failure)
    status = told(runtime)[""]
    assert (status.level, status.message) == (ERROR, "stopped: RuntimeError: device lost; deactivate and activate")
    assert values_of(status) == FACTS


def test_faces_of_another_detector_may_be_absent(told, transport, eventually):
    runtime = ExpressionRuntime(transport, SETTINGS.changed({"face_source": "cropped"}))
    runtime.activate()
    statuses = told(runtime, 0.1)
    assert {name: status.level for name, status in statuses.items()} == {"": OK}
    runtime.session.statistics.note_received("/humans/faces")
    runtime.session.statistics._cameras["/humans/faces"].arrived_s -= 60
    assert eventually(lambda: runtime.subscribed_s > 0.2)
    assert told(runtime, 0.1)["/humans/faces"].level == OK
    runtime.close()
