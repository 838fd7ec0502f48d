"""What the node offers and listens to: the settings say where, whoever listens to its results says when."""

from __future__ import annotations

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("rosbags")

from memory_transport import START_NS
from runtime_bench import RESULTS, SETTINGS, ids

from aue_crl_core.errors import CheckpointError, ConfigError
from aue_crl_ros.runtime import ExpressionRuntime
from aue_crl_ros.transports.dds.names import NodeNames


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


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_another_engine_is_told_and_answers(make, transport, ask, photograph, engine):
    pytest.importorskip(engine)
    make(engine=engine).activate()
    assert transport.results("~/model")[0].engine == engine
    assert [face.expression for face in ask(photograph).faces] == ["neutral"]


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
    ("remappings", "camera"),
    [
        ({"image": "/cam/image_raw"}, "/cam/image_raw/compressed"),
        ({"image/compressed": "/cam/small"}, "/cam/small"),
        ({"image": "/cam/image_raw", "image/compressed": "/cam/image_raw/compressed"}, "/cam/image_raw/compressed"),
    ],
)
def test_compressed_images_are_looked_for_below_the_remapped_topic(make, transport, remappings, camera):
    transport.resolve = NodeNames("aue_crl", remappings=remappings).resolve
    runtime = make(image_transport="compressed")
    runtime.activate()
    assert [transport.resolve(topic.name) for topic in transport.inputs()] == [camera]
    assert runtime.cameras == (camera,)


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
    assert answer.result(timeout=60).frames > 0
    runtime.poll()
    assert not transport.inputs()


def test_a_topic_that_is_no_ros_name_is_refused_when_it_is_configured(transport):
    transport.resolve = NodeNames("aue_crl").resolve
    with pytest.raises(ConfigError, match="'front camera/image'"):
        ExpressionRuntime(transport, SETTINGS.changed({"image_topics": ["front camera/image"]}))
    assert transport.published == []


def test_weights_that_are_not_there_are_refused_before_a_topic_is_offered(transport):
    with pytest.raises(CheckpointError, match="weights must be one of"):
        ExpressionRuntime(transport, SETTINGS.changed({"weights": "huge"}))
    assert transport.published == []
