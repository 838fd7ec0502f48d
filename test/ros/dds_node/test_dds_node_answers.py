"""`aue-crl node` as its users have it: real processes on loopback, photographs in, values out."""

from __future__ import annotations

import hashlib
import re
import signal
import time

import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from node_bench import (
    DIAGNOSTICS,
    EVENT,
    EXPRESSIONS,
    MODEL,
    Camera,
    S,
    answers,
    latest_status,
    stamp_ns,
    steps_of_a_tenth,
    values_of,
)

from aue_crl_core import facs
from aue_crl_core.engines import find_weights
from aue_crl_ros.transports.transport import LATCHED


def test_images_are_read_only_while_somebody_listens(start_node, ears, listen, eventually, portrait):
    node = start_node("--image-topic", "/lonely/image", "--namespace", "/lonely")
    name, camera_name = "/lonely/aue_crl", "/lonely/aue_crl: /lonely/image"
    diagnostics = listen("/diagnostics", DIAGNOSTICS).heard
    lonely = Camera(ears, "/lonely/image", eventually)
    assert eventually(lambda: latest_status(diagnostics, name))
    assert latest_status(diagnostics, name).message == "active; nobody listens, so images are not read"
    assert latest_status(diagnostics, camera_name) is None
    listener = listen("/lonely/aue_crl/expressions", EXPRESSIONS)
    assert eventually(listener.publishers)
    lonely.show(portrait, listener.heard)
    assert lonely.publisher.listeners() == 1
    listener.close()
    assert eventually(lambda: lonely.publisher.listeners() == 0)
    lonely.publisher.publish(lonely.message(portrait, time.time_ns()))
    diagnostics.clear()
    assert eventually(lambda: latest_status(diagnostics, camera_name))
    assert values_of(latest_status(diagnostics, camera_name))["received"] == "1"
    assert latest_status(diagnostics, name).message == "active; nobody listens, so images are not read"
    lonely.publisher.close()
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    assert "meets whom Cyclone DDS lets it (CYCLONEDDS_URI is set)" in node.words()


def test_an_image_gets_one_message_with_its_header_and_what_the_analyzer_says(camera, results, portrait, analyzer):
    before_ns = time.time_ns()
    sent, got = camera("value").show(portrait, results)
    passed_s = (time.time_ns() - before_ns) / S
    assert (got.camera, got.image_width, got.image_height) == ("/value/image", 320, 375)
    assert got.header.frame_id == "head/optische Linse ñ"
    assert 0 < got.latency <= passed_s
    (face,), (expected,) = got.faces, analyzer(portrait)
    assert face.header == sent.header
    assert re.fullmatch(r"[a-z]+1", face.face_id)
    assert (face.expression, face.state) == (expected.expression, 0)
    assert sum(face.probabilities) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(face.probabilities, list(expected.probabilities.values()), atol=1e-3)
    assert face.confidence == pytest.approx(max(face.probabilities))
    assert tuple(unit.code for unit in face.action_units) == facs.ACTION_UNITS
    assert [unit.probability for unit in face.action_units] == pytest.approx(
        list(expected.action_units.values()), abs=1e-3
    )
    assert all(unit.estimated and unit.visible for unit in face.action_units)
    np.testing.assert_allclose(np.reshape(face.landmarks, (68, 2)), expected.landmarks, atol=0.1)
    assert abs(face.box.x_offset - expected.box.x) <= 1
    assert abs(face.box.width - expected.box.w) <= 2
    assert face.quality.face_score == pytest.approx(expected.quality.face_score, abs=1e-3)
    assert not face.calibrated


def test_two_cameras_have_their_own_ids_and_one_message_an_image(camera, results, portrait, mirrored):
    left, right = (camera(name, clock=steps_of_a_tenth()) for name in ("left", "right"))
    shown = []
    for _ in range(4):
        shown += [left.show(portrait, results), right.show(mirrored, results)]
    assert [answer.camera for _, answer in shown] == ["/left/image", "/right/image"] * 4
    assert len({stamp_ns(sent.header.stamp) for sent, _ in shown}) == len(shown)
    assert all(len(answers(sent, results)) == 1 for sent, _ in shown)
    left_ids, right_ids = (
        {face.face_id for _, answer in shown if answer.camera == topic for face in answer.faces}
        for topic in ("/left/image", "/right/image")
    )
    assert len(left_ids) == len(right_ids) == 1
    assert left_ids.isdisjoint(right_ids)


def test_an_image_without_a_face_is_answered_too(camera, results, sky):
    _, got = camera("silent").show(sky, results)
    assert got.faces == []


def test_a_late_joiner_learns_what_the_numbers_mean(hear, eventually, analyzer):
    heard = hear("/robot/aue_crl/model", MODEL, LATCHED)
    assert eventually(lambda: heard)
    (model,) = heard
    assert model.weights == "edge"
    assert model.weights_sha256 == hashlib.sha256(find_weights("edge", "onnx").read_bytes()).hexdigest()
    assert (model.engine, model.device, model.vocabulary) == ("onnx", "cpu", "basic")
    assert tuple(model.expressions) == analyzer.expressions
    assert tuple(model.action_units) == facs.ACTION_UNITS
    assert 0 < stamp_ns(model.header.stamp) < time.time_ns()


def test_what_a_face_shows_begins_and_ends_by_the_images_stamps(camera, hear, results, eventually, smiling, sky):
    events = hear("/robot/aue_crl/events", EVENT)
    shown, first_ns = camera("events"), 5000 * S  # of a clock that is not this machine's
    seen = [shown.show(smiling, results, first_ns + i * S // 10) for i in range(4)]
    decided = seen[1][0].header  # min_event_s, 0.1 s, after the first
    (face,) = seen[1][1].faces

    def told(phase):
        return {(event.kind, event.expression, event.action_unit) for event in events if event.phase == phase}

    assert eventually(lambda: told(phase=0) >= {(0, face.expression, 0), (1, "", 12)})
    assert face.expression != "neutral"
    began = [event for event in events if event.phase == 0]
    for event in began:
        assert (event.header, event.camera, event.face_id) == (decided, "/events/image", face.face_id)
        assert stamp_ns(event.began) == first_ns <= stamp_ns(event.peaked) <= stamp_ns(decided.stamp)
        assert 0.4 < event.probability <= event.peak_probability <= 1
    gone, _ = shown.show(sky, results, first_ns + 3 * S)
    assert eventually(lambda: told(phase=2) >= {(0, face.expression, 0), (1, "", 12)})
    ended = [event for event in events if event.phase == 2]
    assert {event.face_id for event in ended} == {face.face_id}
    assert all(event.header == gone.header for event in ended)


def test_one_pixel_is_an_image_without_a_face(camera, results, portrait):
    tiny = camera("damaged")
    for shape in [(1, 1, 3), (1, 300, 3), (300, 1, 3), (2, 2, 3)]:
        _, got = tiny.show(np.zeros(shape, np.uint8), results)
        assert (got.image_height, got.image_width) == shape[:2]
        assert got.faces == []
    _, got = tiny.show(portrait, results)
    assert len(got.faces) == 1
