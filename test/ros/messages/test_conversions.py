"""An observation as messages: every field of every message, after a trip through CDR."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import FrozenInstanceError, replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import FaceAnalyzer, __version__, facs
from aue_crl_core.dynamics.readings import Event, EventKind, EventPhase, FaceReading
from aue_crl_core.engines import WEIGHTS_DIRECTORY
from aue_crl_core.types import FaceBox, FacePrediction, FaceQuality
from aue_crl_ros.messages.conversions import (
    SHIPPED_LICENCE,
    ModelFacts,
    clipped,
    debug_image,
    expression_array,
    expression_event,
    header,
    model_description,
    model_facts,
    stamp,
)
from aue_crl_ros.messages.interfaces import StoreMessages
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.readings import Observation

pytest.importorskip("rosbags")

STAMP_NS = 1_700_000_000_123_456_789
FACTS = ModelFacts(
    weights="edge",
    weights_sha256="ab" * 32,
    licence="Apache-2.0",
    engine="onnx",
    device="cpu",
    vocabulary="basic",
    expressions=facs.BASIC_EXPRESSIONS,
    action_units=facs.ACTION_UNITS,
    input_size=96,
    version="1.2.3",
)


@pytest.fixture(scope="module")
def messages() -> StoreMessages:
    return StoreMessages()


def through_cdr(messages, kind, message):
    return messages.deserialize(kind, messages.serialize(kind, message))


def a_face(**changes: object) -> FacePrediction:
    # in an order of its own: the messages' order is the description's
    probabilities = {"neutral": 0.05, "happiness": 0.6, "surprise": 0.35} | dict.fromkeys(
        ("fear", "disgust", "sadness", "anger"), 0.0
    )
    face = FacePrediction(
        face_id="f3",
        box=FaceBox(-3.5, 10.2, 40.0, 30.0, 0.9),
        expression="happiness",
        confidence=0.6,
        probabilities=probabilities,
        action_units={unit: unit / 100 for unit in reversed(facs.ACTION_UNITS)},
        landmarks=np.arange(136, dtype=np.float32).reshape(68, 2) / 4,
        state="ok",
        quality=FaceQuality(40.0, 120.5, 0.97, 0.1, -0.2, 0.3, 0.9, 0.8),
    )
    return replace(face, **changes)


def an_observation(messages, *readings: FaceReading, **changes: object) -> Observation:
    observation = Observation(
        camera="/camera/image",
        header=header(messages, STAMP_NS, "camera_optical"),
        stamp_ns=STAMP_NS,
        image=np.zeros((80, 100, 3), np.uint8),
        faces=readings,
        dropped=4,
    )
    return replace(observation, **changes)


def array_of(messages, observation, latency_s=0.025):
    message = expression_array(messages, observation, FACTS, latency_s)
    return through_cdr(messages, "aue_crl/msg/FaceExpressionArray", message)


def test_of_a_network_that_knows_no_action_units_the_messages_have_none(messages):
    facts = replace(FACTS, action_units=())
    observation = an_observation(messages, FaceReading(a_face(action_units={}), frozenset({1, 12})))
    array = through_cdr(
        messages, "aue_crl/msg/FaceExpressionArray", expression_array(messages, observation, facts, 0.025)
    )
    assert list(array.faces[0].action_units) == []
    described = model_description(messages, facts, header(messages, STAMP_NS))
    assert list(through_cdr(messages, "aue_crl/msg/ModelDescription", described).action_units) == []


def test_the_array_says_what_the_observation_does(messages):
    reading = FaceReading(a_face(), frozenset({1, 12}), calibrated=True)
    array = array_of(messages, an_observation(messages, reading))
    assert (array.header.stamp.sec, array.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert array.header.frame_id == "camera_optical"
    assert (array.camera, array.image_width, array.image_height) == ("/camera/image", 100, 80)
    assert (array.latency, array.dropped_frames) == (pytest.approx(0.025), 4)
    (face,) = array.faces
    assert face.header == array.header
    assert (face.face_id, face.expression, face.confidence) == ("f3", "happiness", pytest.approx(0.6))
    np.testing.assert_allclose(face.probabilities, [0.35, 0, 0, 0.6, 0, 0, 0.05], atol=1e-6)
    assert (face.state, face.calibrated) == (0, True)
    box = face.box
    assert (box.x_offset, box.y_offset, box.width, box.height, box.do_rectify) == (0, 10, 37, 31, False)
    np.testing.assert_array_equal(face.landmarks, np.arange(136) / 4)
    q = face.quality
    said = [q.size, q.sharpness, q.face_score, q.yaw, q.pitch, q.roll, q.eyes_visible, q.mouth_visible]
    assert said == pytest.approx([40.0, 120.5, 0.97, 0.1, -0.2, 0.3, 0.9, 0.8])
    assert [unit.code for unit in face.action_units] == list(facs.ACTION_UNITS)
    for unit in face.action_units:
        assert unit.probability == pytest.approx(unit.code / 100)
        assert unit.estimated
        assert unit.visible == (unit.code in (1, 12))
        assert math.isnan(unit.left)
        assert math.isnan(unit.right)


@pytest.mark.parametrize("state", ["ok", "low_quality"])
def test_sides_are_said_of_the_units_that_have_them_unless_nothing_was_estimated(messages, state):
    sides = {"left": {4: 0.1, 12: 0.8}, "right": {4: 0.2, 12: 0.3}}
    reading = FaceReading(a_face(sides=sides, state=state), frozenset({4, 12}))
    (face,) = array_of(messages, an_observation(messages, reading)).faces
    said = {u.code: (u.left, u.right) for u in face.action_units if not math.isnan(u.left)}
    expected = {4: (0.1, 0.2), 12: (0.8, 0.3)} if state == "ok" else {}
    assert said == {code: pytest.approx(both) for code, both in expected.items()}


@pytest.mark.parametrize("state", ["ok", "low_quality"])
def test_intensities_are_said_of_the_units_that_have_them_unless_nothing_was_estimated(messages, state):
    reading = FaceReading(a_face(intensities={4: 0.0, 12: 4.5}, state=state), frozenset({4, 12}))
    (face,) = array_of(messages, an_observation(messages, reading)).faces
    said = {u.code: u.intensity for u in face.action_units if not math.isnan(u.intensity)}
    assert said == ({4: 0.0, 12: 4.5} if state == "ok" else {})


def test_an_image_without_a_face_or_stamp_is_an_empty_array(messages):
    array = array_of(messages, an_observation(messages, stamp_ns=0), math.nan)
    assert array.faces == []
    assert math.isnan(array.latency)


def test_faces_keep_their_order(messages):
    readings = [FaceReading(a_face(face_id=f"f{i}"), frozenset()) for i in (7, 2, 5)]
    assert [face.face_id for face in array_of(messages, an_observation(messages, *readings)).faces] == [
        "f7",
        "f2",
        "f5",
    ]


@pytest.mark.parametrize(
    ("state", "number"), [("ok", "OK"), ("uncertain", "UNCERTAIN"), ("low_quality", "LOW_QUALITY")]
)
def test_states_are_the_messages_constants(messages, state, number):
    (face,) = array_of(messages, an_observation(messages, FaceReading(a_face(state=state), frozenset()))).faces
    assert face.state == getattr(face, number)
    assert all(unit.estimated == (state != "low_quality") for unit in face.action_units)
    assert all((unit.probability > 0) == (state != "low_quality") for unit in face.action_units)
    assert all(unit.probability >= 0 for unit in face.action_units)


def test_without_points_the_array_says_the_same_but_for_the_landmarks(messages):
    observation = an_observation(messages, FaceReading(a_face(), frozenset({1})))
    (whole,), (private,) = (
        expression_array(messages, observation, FACTS, 0.025, points=points).faces for points in (True, False)
    )
    assert (len(whole.landmarks), len(private.landmarks)) == (136, 0)
    assert private.box == whole.box
    assert (private.expression, private.confidence) == (whole.expression, whole.confidence)


def test_what_was_not_measured_is_not_a_number(messages):
    (face,) = array_of(messages, an_observation(messages, FaceReading(a_face(quality=None), frozenset()))).faces
    assert (face.quality.size, face.quality.face_score) == (40.0, pytest.approx(0.9))
    unknown = ("sharpness", "yaw", "pitch", "roll", "eyes_visible", "mouth_visible")
    assert all(math.isnan(getattr(face.quality, name)) for name in unknown)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((3.2, 4.6, 0.3, 0.2), (3, 4, 4, 5)),
        ((99.5, 79.5, 0.2, 0.2), (99, 79, 100, 80)),
        ((-40, -30, 9, 9), (0, 0, 1, 1)),
        ((140, 130, 9, 9), (99, 79, 100, 80)),
        ((3, 4, 0, 0), (3, 4, 4, 5)),
    ],
    ids=["within a pixel", "the last pixel", "left and above", "right and below", "no size"],
)
def test_of_the_smallest_boxes_and_those_outside_one_pixel_remains(box, pixels):
    assert clipped(FaceBox(*box), 100, 80) == pixels


coordinates = st.floats(-500, 500)


@given(coordinates, coordinates, st.floats(0, 400), st.floats(0, 400), st.integers(1, 300), st.integers(1, 300))
def test_a_clipped_box_has_pixels_and_they_lie_in_the_image_and_in_the_box(x, y, w, h, width, height):
    left, top, right, bottom = clipped(FaceBox(x, y, w, h), width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    if x >= 0 and x + w <= width and w >= 1:
        assert left <= x < left + 1
        assert right - 1 < x + w <= right
    if y >= 0 and y + h <= height and h >= 1:
        assert top <= y < top + 1
        assert bottom - 1 < y + h <= bottom


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_a_stamp_is_its_nanoseconds(ns):
    message = stamp(StoreMessages(), ns)
    assert message.sec * 10**9 + message.nanosec == ns
    assert 0 <= message.nanosec < 10**9


@pytest.mark.parametrize(
    ("kind", "expression", "unit"), [(EventKind.EXPRESSION, "anger", 0), (EventKind.ACTION_UNIT, "", 12)]
)
@pytest.mark.parametrize("phase", list(EventPhase))
def test_an_event_says_what_when_and_how_much(messages, kind, expression, unit, phase):
    event = Event("g2", kind, phase, expression, unit, 0.45, 0.85, STAMP_NS - 2 * 10**9, STAMP_NS - 10**9)
    kind_name = "aue_crl/msg/ExpressionEvent"
    message = through_cdr(messages, kind_name, expression_event(messages, an_observation(messages), event))
    assert message.header.frame_id == "camera_optical"
    assert message.header.stamp == stamp(messages, STAMP_NS)
    assert (message.camera, message.face_id) == ("/camera/image", "g2")
    assert message.kind == getattr(message, kind.name)
    assert message.phase == getattr(message, phase.name)
    assert (message.expression, message.action_unit) == (expression, unit)
    assert (message.probability, message.peak_probability) == (pytest.approx(0.45), pytest.approx(0.85))
    assert message.began == stamp(messages, STAMP_NS - 2 * 10**9)
    assert message.peaked == stamp(messages, STAMP_NS - 10**9)


def test_the_description_says_what_the_facts_do(messages):
    message = model_description(messages, FACTS, header(messages, STAMP_NS))
    message = through_cdr(messages, "aue_crl/msg/ModelDescription", message)
    assert message.header == header(messages, STAMP_NS, "")
    for name in ("weights", "weights_sha256", "licence", "engine", "device", "vocabulary", "input_size", "version"):
        assert getattr(message, name) == getattr(FACTS, name)
    assert tuple(message.expressions) == FACTS.expressions
    assert tuple(message.action_units) == FACTS.action_units


def test_facts_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        FACTS.licence = "another"


def test_the_facts_are_those_of_the_loaded_weights():
    facts = model_facts(FaceAnalyzer.load("edge"), Settings())
    assert facts == ModelFacts(
        weights="edge",
        weights_sha256=hashlib.sha256((WEIGHTS_DIRECTORY / "edge.onnx").read_bytes()).hexdigest(),
        licence="Apache-2.0",
        engine="onnx",
        device="cpu",
        vocabulary="basic",
        expressions=facs.BASIC_EXPRESSIONS,
        action_units=facs.ACTION_UNITS,
        input_size=96,
        version=__version__,
    )


def test_weights_given_as_a_file_have_no_known_licence():
    path = str(WEIGHTS_DIRECTORY / "edge.onnx")
    facts = model_facts(FaceAnalyzer.load(path), Settings(weights=path))
    assert (facts.weights, facts.licence) == (path, "")


def test_the_shipped_weights_carry_the_licence_that_is_published():
    content = (WEIGHTS_DIRECTORY / "edge.safetensors").read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert json.loads(metadata["aue_crl"])["license"] == SHIPPED_LICENCE
    assert f"| licence | {SHIPPED_LICENCE} |" in (WEIGHTS_DIRECTORY / "README.md").read_text()


def test_the_debug_image_is_the_picture_with_its_faces_drawn_in(messages, photograph):
    box = FaceBox(200.0, 120.0, 150.0, 170.0)
    points = np.random.default_rng(0).uniform((200, 120), (350, 290), (68, 2)).astype(np.float32)
    reading = FaceReading(a_face(box=box, landmarks=points), frozenset())
    kind = "sensor_msgs/msg/CompressedImage"
    plain, drawn = (
        through_cdr(messages, kind, debug_image(messages, an_observation(messages, *faces, image=photograph)))
        for faces in ((), (reading,))
    )
    assert drawn.header == header(messages, STAMP_NS, "camera_optical")
    assert "jpeg" in drawn.format
    plain, drawn = (cv2.imdecode(m.data, cv2.IMREAD_COLOR)[:, :, ::-1].astype(int) for m in (plain, drawn))
    assert np.abs(plain - photograph).mean() < 3
    changed = np.abs(drawn - plain).max(axis=2) > 60
    assert changed[120:290, 200:350].mean() > 0.05
    assert not changed[400:, :100].any()


def test_a_real_face_fits_its_message(messages, photograph):
    predictions = FaceAnalyzer.load()(photograph)
    assert predictions
    readings = [FaceReading(face, frozenset(facs.ACTION_UNITS)) for face in predictions]
    array = array_of(messages, an_observation(messages, *readings, image=photograph))
    for face, prediction in zip(array.faces, predictions, strict=True):
        assert sum(face.probabilities) == pytest.approx(1, abs=1e-4)
        assert face.probabilities[facs.BASIC_EXPRESSIONS.index(face.expression)] == pytest.approx(face.confidence)
        np.testing.assert_array_equal(face.landmarks.reshape(68, 2), prediction.landmarks)
        assert all(np.isfinite([face.quality.size, face.quality.sharpness, face.quality.yaw]))
