"""Between configure and cleanup: who listens decides, nothing is left behind, a failure is seen."""

from __future__ import annotations

import gc
import itertools
import math
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from memory_transport import START_NS, MemoryTransport

pytest.importorskip("onnxruntime")
pytest.importorskip("rosbags")

from onnxruntime import InferenceSession

from aue_crl_core.errors import CheckpointError, ConfigError
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.runtime import ExpressionRuntime
from aue_crl_ros.transports.dds.names import NodeNames

SETTINGS = Settings(detector="cascade", threads=1, min_event_s=0.0)
RESULTS = ("~/expressions", "~/events")


class Node(MemoryTransport):
    """A transport whose audience a test decides on, and a camera of it."""

    def __init__(self) -> None:
        super().__init__()
        self.listened: set[str] = {"~/expressions"}
        self.audience = lambda name: int(name in self.listened)

    def inputs(self):
        return [topic for topic in self.subscribed if topic.is_open]

    def outputs(self):
        return {topic.name for topic in self.published if topic.is_open}

    def results(self, name="~/expressions"):
        return [message for topic in self.published if topic.name == name for message in topic.sent]

    def image(self, pixels, stamp_ns=START_NS):
        height, width = pixels.shape[:2]
        fields = {"height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": 3 * width}
        return self.messages.new(
            "sensor_msgs/msg/Image", header=self.header(stamp_ns), **fields, data=pixels.reshape(-1)
        )

    def show(self, pixels, stamp_ns=START_NS, camera="image"):
        """Deliver an image to the open subscription of the topic."""
        (topic,) = [topic for topic in self.inputs() if topic.name == camera]
        topic.callback(self.image(pixels, stamp_ns))


@pytest.fixture
def transport():
    return Node()


@pytest.fixture
def make(transport):
    """Makes a runtime on `transport`, closed after the test."""
    made = []

    def begin(**changes):
        made.append(ExpressionRuntime(transport, SETTINGS.changed(changes)))
        return made[-1]

    yield begin
    for runtime in made:
        if transport.outputs():
            runtime.close()


@pytest.fixture
def ask(transport, eventually):
    """Shows an image and waits for its message."""

    def show(pixels, stamp_ns=START_NS, camera="image"):
        before = len(transport.results())
        transport.show(pixels, stamp_ns, camera)
        assert eventually(lambda: len(transport.results()) > before)
        return transport.results()[-1]

    return show


def ids(message):
    return [face.face_id for face in message.faces]


def test_configured_it_describes_the_model_and_listens_to_nothing(make, transport):
    runtime = make(hri=True, debug_image=True)
    (model,) = transport.results("~/model")
    assert (model.weights, model.engine) == ("edge", "onnx")
    (topic,) = [topic for topic in transport.published if topic.name == "~/model"]
    assert (topic.qos.reliable, topic.qos.latched) == (True, True)
    assert transport.outputs() == {*RESULTS, "~/model", "~/debug_image/compressed", "/humans/faces/tracked"}
    runtime.poll()
    assert transport.subscribed == []
    assert (runtime.active, runtime.subscribed, runtime.failure) == (False, False, "")


@pytest.mark.parametrize(
    ("changes", "topics", "kind"),
    [
        ({}, ["image"], "sensor_msgs/msg/Image"),
        ({"image_topics": ("/a", "b")}, ["/a", "b"], "sensor_msgs/msg/Image"),
        (
            {"image_topics": ("/a", "b"), "image_transport": "compressed"},
            ["/a/compressed", "b/compressed"],
            "sensor_msgs/msg/CompressedImage",
        ),
        ({"face_source": "cropped"}, ["/humans/faces/tracked"], "hri_msgs/msg/IdsList"),
    ],
)
def test_it_listens_where_the_settings_say(make, transport, changes, topics, kind):
    runtime = make(**changes)
    runtime.activate()
    assert [(topic.name, topic.type_name) for topic in transport.inputs()] == [(topic, kind) for topic in topics]
    assert runtime.cameras == (() if "face_source" in changes else tuple(topics))


@pytest.mark.parametrize(
    ("listened", "wanted"),
    [
        (set(), False),
        ({"~/model"}, False),
        ({"~/expressions"}, True),
        ({"~/events"}, True),
        ({"~/debug_image/compressed"}, True),
        ({"/humans/faces/tracked"}, True),
    ],
)
def test_images_are_taken_in_while_somebody_listens_to_a_result(make, transport, listened, wanted):
    transport.listened = set()
    runtime = make(hri=True, debug_image=True)
    runtime.activate()
    assert not transport.inputs()
    transport.listened = listened
    runtime.poll()
    runtime.poll()
    assert len(transport.inputs()) == len(transport.subscribed) == int(wanted)
    assert runtime.subscribed is wanted
    transport.listened = set()
    runtime.poll()
    assert not transport.inputs()
    assert runtime.subscribed_s == 0.0


def test_images_can_be_taken_in_all_the_time(make, transport):
    transport.listened = set()
    runtime = make(always_subscribe=True)
    runtime.activate()
    assert transport.inputs()
    runtime.update(SETTINGS.changed({"always_subscribe": False}))
    runtime.poll()
    assert not transport.inputs()


def test_a_calibration_needs_images_too(make, transport, ask, photograph, eventually):
    runtime = make()
    runtime.activate()
    (face_id,) = ids(ask(photograph))
    answer = runtime.calibrate(face_id, 0.1)
    transport.listened = set()
    runtime.poll()
    assert transport.inputs()
    for i in (1, 2):
        ask(photograph, START_NS + i * 10**9)
    assert answer.result(timeout=10).frames > 0
    runtime.poll()
    assert not transport.inputs()


def test_an_image_becomes_a_message_with_its_header_latency_and_count(make, transport, ask, photograph):
    runtime = make()
    runtime.activate()
    transport.time_ns = START_NS + 40_000_000
    got = ask(photograph)
    assert got.header == transport.header()
    assert (got.camera, got.image_height, got.image_width) == ("image", *photograph.shape[:2])
    assert got.latency == pytest.approx(0.04)
    assert ids(got) == ["f1"]
    assert {event.face_id for event in transport.results("~/events")} == {"f1"}
    assert all(event.header == got.header for event in transport.results("~/events"))
    seen = runtime.session.statistics.snapshot()["image"]
    assert (seen.processed, seen.latency_p50_s) == (1, pytest.approx(0.04))


@pytest.mark.parametrize(("stamp_ns", "now_ns"), [(0, START_NS), (START_NS, 0)])
def test_without_a_stamp_or_a_clock_there_is_no_latency(make, transport, ask, photograph, stamp_ns, now_ns):
    runtime = make()
    runtime.activate()
    transport.time_ns = now_ns
    assert math.isnan(ask(photograph, stamp_ns).latency)
    assert math.isnan(runtime.session.statistics.snapshot()["image"].latency_p50_s)


def test_deactivated_it_drops_everything_and_can_begin_anew(make, transport, ask, photograph):
    runtime = make(hri=True)
    runtime.activate()
    assert ids(ask(photograph)) == ["f1"]
    transport.show(photograph)
    runtime.deactivate()
    count = len(transport.results())
    assert not runtime.active
    assert not transport.inputs()
    assert transport.outputs() == {*RESULTS, "~/model", "/humans/faces/tracked"}
    assert transport.last("tracked").ids == []
    assert runtime.session.statistics.snapshot() == {}
    runtime.poll()
    assert not transport.inputs()
    runtime.activate()
    again = ask(photograph, START_NS + 1)
    assert len(transport.results()) == count + 1  # the unread image of before was dropped
    assert again.header == transport.header(START_NS + 1)
    assert ids(again) != ["f1"]


def test_activating_and_deactivating_twice_is_once(make, transport):
    runtime = make()
    runtime.deactivate()
    threads = threading.active_count()
    runtime.activate()
    runtime.activate()
    assert threading.active_count() == threads + 1
    assert len(transport.inputs()) == 1
    runtime.deactivate()
    runtime.deactivate()
    assert threading.active_count() == threads


def networks_of(runtime):
    engine = runtime.session._analyzer.engine
    return [value for value in vars(engine).values() if isinstance(value, InferenceSession)]


def test_closed_it_has_no_topics_no_thread_and_no_network(make, transport, ask, photograph):
    threads = threading.active_count()
    runtime = make(hri=True, debug_image=True)
    runtime.activate()
    ask(photograph)
    networks = [weakref.ref(network) for network in networks_of(runtime)]
    runtime.close()
    assert transport.outputs() == set()
    assert transport.inputs() == []
    assert threading.active_count() == threads
    assert [network() for network in networks] == [None, None]


def test_an_image_that_comes_after_close_does_no_harm(make, transport, photograph):
    runtime = make()
    runtime.activate()
    (late,) = transport.inputs()
    runtime.close()
    late.callback(transport.image(photograph))
    assert transport.results() == []


def test_a_failure_is_kept_logged_and_not_the_end(make, transport, ask, photograph, eventually, monkeypatch):
    runtime = make()
    runtime.activate()
    ask(photograph)
    engine = runtime.session._analyzer.engine
    real = engine.predict

    def out_of_memory(crops, points):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(engine, "predict", out_of_memory)
    transport.show(photograph, START_NS + 1)
    assert eventually(lambda: runtime.failure)
    assert runtime.failure == "RuntimeError: CUDA out of memory"
    assert eventually(lambda: transport.logged)
    ((level, text),) = transport.logged
    assert level == "error"
    assert "please report" in text
    assert "out_of_memory" in text  # the traceback
    runtime.poll()
    assert not runtime.subscribed
    assert not runtime.session.calibrating
    monkeypatch.setattr(engine, "predict", real)
    runtime.deactivate()
    runtime.activate()
    assert runtime.failure == ""
    assert len(ask(photograph, START_NS + 2).faces) == 1


def test_a_debug_image_is_offered_on_demand_and_drawn_for_somebody(make, transport, ask, photograph):
    name = "~/debug_image/compressed"
    runtime = make()
    runtime.activate()
    on = SETTINGS.changed({"debug_image": True})
    assert name not in transport.outputs()
    runtime.update(on)
    assert name in transport.outputs()
    ask(photograph)
    assert transport.results(name) == []
    transport.listened.add(name)
    ask(photograph, START_NS + 1)
    ask(photograph, START_NS + 2)
    assert transport.results(name)[0].header == transport.header(START_NS + 1)
    runtime.update(on.changed({"privacy": True}))
    assert name not in transport.outputs()
    runtime.update(on)
    assert name in transport.outputs()
    runtime.update(SETTINGS)
    assert name not in transport.outputs()


def test_private_from_the_start_there_is_no_picture(make, transport, ask, photograph):
    runtime = make(privacy=True, debug_image=True, hri=True)
    runtime.activate()
    ask(photograph)
    ask(photograph, START_NS + 1)
    assert not [name for name in transport.outputs() if "image" in name or "cropped" in name or "aligned" in name]
    assert "f1/roi" in transport.offered()


def test_a_neutral_face_is_learned_and_forgotten_by_id(make, transport, ask, raf_images):
    runtime = make(smoothing_s=0.0)
    message = runtime.calibrate("f1", 0.1).result(timeout=0).message
    assert "not active" in message
    runtime.activate()
    face = raf_images[0]
    (face_id,) = ids(ask(face))
    answer = runtime.calibrate(face_id, 0.1)
    last = [ask(face, START_NS + i * 20_000_000) for i in range(1, 12)][-1]
    learned = answer.result(timeout=10)
    assert learned.success == last.faces[0].calibrated
    forgot, text = runtime.forget_neutral(face_id)
    assert forgot == learned.success
    assert face_id in text
    assert not ask(face, START_NS + 10**9).faces[0].calibrated
    assert runtime.forget_neutral("") == (False, "no neutral face was learned for any face")
    runtime.close()
    assert runtime.forget_neutral(face_id) == (False, f"no neutral face was learned for {face_id}")
    assert "not active" in runtime.calibrate(face_id, 0.1).result(timeout=0).message


def test_a_topic_that_is_no_ros_name_is_refused_when_it_is_configured(transport):
    transport.resolve = NodeNames("aue_crl").resolve
    with pytest.raises(ConfigError, match="'front camera/image'"):
        ExpressionRuntime(transport, SETTINGS.changed({"image_topics": ["front camera/image"]}))
    assert transport.published == []


def test_weights_that_are_not_there_are_refused_before_a_topic_is_offered(transport):
    with pytest.raises(CheckpointError, match="weights must be one of"):
        ExpressionRuntime(transport, SETTINGS.changed({"weights": "huge"}))
    assert transport.published == []


def test_polling_updating_and_restarting_amid_images_loses_no_thread_and_no_topic(make, transport, photograph):
    runtime = make(hri=True, debug_image=True)
    transport.audience = lambda name: 1
    died, stop = [], threading.Event()
    small = np.ascontiguousarray(photograph[::2, ::2])

    def film():
        stamp_ns = START_NS
        while not stop.is_set():
            stamp_ns += 33_000_000
            for topic in transport.inputs():
                topic.callback(transport.image(small, stamp_ns))
            time.sleep(0.001)

    hook, threading.excepthook = threading.excepthook, died.append
    camera = threading.Thread(target=film)
    try:
        camera.start()
        for i in range(24):
            runtime.activate()
            for j in range(8):
                runtime.poll()
                changes = {"privacy": j % 2 == 0, "debug_image": j % 3 == 0, "max_faces": 1 + j}
                runtime.update(SETTINGS.changed({"hri": True, **changes}))
                time.sleep(0.002)
            if i % 2:
                runtime.deactivate()
    finally:
        stop.set()
        camera.join()
        threading.excepthook = hook
    runtime.close()
    assert died == []
    assert runtime.failure == ""
    assert [text for _, text in transport.logged] == []
    assert transport.outputs() == set()
    assert transport.inputs() == []


def test_images_leave_nothing_behind(make, transport, ask, photograph):
    runtime = make(hri=True)
    runtime.activate()
    small = np.ascontiguousarray(photograph[::3, ::3])
    stamps_ns = itertools.count(START_NS, 33_000_000)

    def blocks_after(count):
        for _ in range(count):
            ask(small, next(stamps_ns))
            for topic in transport.published:
                topic.sent.clear()
        gc.collect()
        return sys.getallocatedblocks()

    before = blocks_after(50)
    assert blocks_after(100) - before < 5 * 100  # a message kept is hundreds
