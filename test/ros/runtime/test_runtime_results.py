"""What becomes of an image: messages with its header, a picture for whoever wants one, a neutral face."""

from __future__ import annotations

import json
import math
import socket
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("rosbags")

from memory_transport import START_NS
from runtime_bench import SETTINGS, ids

from aue_crl_core.errors import ConfigError
from aue_crl_core.live.hub import Hub


def test_an_image_becomes_a_message_with_its_header_latency_and_count(make, transport, ask, photograph, eventually):
    runtime = make()
    runtime.activate()
    transport.time_ns = START_NS + 40_000_000
    got = ask(photograph)
    assert got.header == transport.header()
    assert (got.camera, got.image_height, got.image_width) == ("image", *photograph.shape[:2])
    assert got.latency == pytest.approx(0.04)
    assert ids(got) == ["f1"]
    latency_s = pytest.approx(0.04)
    assert eventually(lambda: runtime.session.statistics.snapshot()["image"].latency_p50_s == latency_s)
    assert {event.face_id for event in transport.results("~/events")} == {"f1"}
    assert all(event.header == got.header for event in transport.results("~/events"))
    assert runtime.session.statistics.snapshot()["image"].processed == 1


@pytest.mark.parametrize(("stamp_ns", "now_ns"), [(0, START_NS), (START_NS, 0)])
def test_without_a_stamp_or_a_clock_there_is_no_latency(make, transport, ask, photograph, stamp_ns, now_ns):
    runtime = make()
    runtime.activate()
    transport.time_ns = now_ns
    assert math.isnan(ask(photograph, stamp_ns).latency)
    assert math.isnan(runtime.session.statistics.snapshot()["image"].latency_p50_s)


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


def test_in_private_no_topic_has_pixels_or_points(make, transport, ask, photograph):
    transport.audience = lambda name: 1
    runtime = make(privacy=True, debug_image=True, hri=True)
    runtime.activate()
    for i in range(3):
        ask(photograph, START_NS + i)
    said = {topic.name: topic.type_name for topic in transport.published if topic.sent}
    assert said == {
        "~/model": "aue_crl/msg/ModelDescription",
        "~/expressions": "aue_crl/msg/FaceExpressionArray",
        "~/events": "aue_crl/msg/ExpressionEvent",
        "/humans/faces/tracked": "hri_msgs/msg/IdsList",
        "/humans/faces/f1/roi": "hri_msgs/msg/NormalizedRegionOfInterest2D",
        "/humans/faces/f1/facs": "hri_msgs/msg/FacialActionUnits",
        "/humans/faces/f1/expression": "hri_msgs/msg/Expression",
    }
    assert transport.outputs() == set(said)
    assert [len(face.landmarks) for message in transport.results() for face in message.faces] == [0, 0, 0]


def test_privacy_switched_on_counts_from_the_next_message_on(make, transport, ask, photograph):
    runtime = make()
    runtime.activate()
    assert len(ask(photograph).faces[0].landmarks) == 136
    runtime.update(SETTINGS.changed({"privacy": True}))
    assert len(ask(photograph, START_NS + 1).faces[0].landmarks) == 0


def test_a_live_view_is_shown_everything_and_under_privacy_no_pixel(make, transport, ask, photograph):
    view = Hub()
    runtime = make(view)
    runtime.activate()
    ask(photograph)
    (sample,) = view.since(0, 60.0)
    assert (sample.camera, [reading.prediction.face_id for reading in sample.faces]) == ("image", ["f1"])
    assert contrast_below_the_face(view) > 100
    runtime.update(SETTINGS.changed({"privacy": True}))
    assert contrast_below_the_face(view) < 3
    ask(photograph, START_NS + 1)
    view.since(1, 60.0)
    assert contrast_below_the_face(view) < 3


def test_the_settings_may_ask_for_a_page_of_this_machine(make, transport, ask, photograph):
    transport.listened.clear()
    runtime = make(view=True, view_port=0)
    ((_, text),) = transport.logged
    address = text.removeprefix("live view: ")
    assert address.startswith("http://127.0.0.1:")
    runtime.activate()
    assert not runtime.subscribed
    with urllib.request.urlopen(f"{address}readings", timeout=60) as told:
        runtime.poll()
        assert runtime.subscribed
        ask(photograph)
        line = next(line for line in told if line.startswith(b"data: "))
        assert [face["id"] for face in json.loads(line[6:])["faces"]] == ["f1"]
    runtime.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=60)


def test_a_page_whose_port_is_taken_leaves_nothing_offered(make, transport):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot be served at 127.0.0.1:{port}: .* parameter view_port"):
            make(view=True, view_port=port)
    assert transport.outputs() == set()
    make(view=True, view_port=port)


def test_whoever_looks_at_the_live_view_listens(make, transport):
    view = Hub()
    runtime = make(view)
    transport.listened.clear()
    runtime.activate()
    assert not runtime.subscribed
    with view.watching():
        runtime.poll()
        assert runtime.subscribed
    runtime.poll()
    assert not runtime.subscribed


def contrast_below_the_face(view):
    _, data = view.picture("image", 0, 60.0)
    return np.ptp(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[520:], axis=(0, 1)).max()


def test_a_neutral_face_is_learned_and_forgotten_by_id(make, transport, ask, raf_images):
    runtime = make(smoothing_s=0.0)
    message = runtime.calibrate("f1", 0.1).result(timeout=0).message
    assert "not active" in message
    runtime.activate()
    face = raf_images[0]
    (face_id,) = ids(ask(face))
    answer = runtime.calibrate(face_id, 0.1)
    last = [ask(face, START_NS + i * 20_000_000) for i in range(1, 12)][-1]
    learned = answer.result(timeout=60)
    assert learned.success == last.faces[0].calibrated
    forgot, text = runtime.forget_neutral(face_id)
    assert forgot == learned.success
    assert face_id in text
    assert not ask(face, START_NS + 10**9).faces[0].calibrated
    assert runtime.forget_neutral("") == (False, "no neutral face was learned for any face")
    runtime.close()
    assert runtime.forget_neutral(face_id) == (False, f"no neutral face was learned for {face_id}")
    assert "not active" in runtime.calibrate(face_id, 0.1).result(timeout=0).message


def test_the_words_of_other_packages_are_offered_where_asked_for_and_made_for_somebody(
    make, transport, ask, photograph
):
    names = {"~/detections", "~/markers"}
    make().close()
    assert all(topic.name not in names for topic in transport.published)
    runtime = make(detections=True, markers=True)
    assert names <= transport.outputs()
    runtime.activate()
    ask(photograph)
    assert transport.results("~/detections") == transport.results("~/markers") == []
    transport.listened |= names
    ask(photograph, START_NS + 1)
    ask(photograph, START_NS + 2)
    assert [d.id for d in transport.results("~/detections")[0].detections] == ["f1"]
    assert {marker.ns for marker in transport.results("~/markers")[0].markers} == {"f1"}
    runtime.close()
    assert transport.outputs() == set()


def test_somebody_who_listens_to_detections_only_is_listened_for(make, transport):
    transport.listened = {"~/detections"}
    runtime = make(detections=True)
    runtime.activate()
    assert runtime.subscribed
