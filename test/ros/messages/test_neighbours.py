"""The same observation in the words of vision_msgs and visualization_msgs, after a trip through CDR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rosbags")

from aue_crl_core import facs
from aue_crl_core.dynamics.readings import FaceReading
from aue_crl_core.types import FaceBox, FacePrediction
from aue_crl_ros.messages.conversions import header
from aue_crl_ros.messages.interfaces import StoreMessages
from aue_crl_ros.messages.neighbours import FACE_WIDTH_M, detections, markers
from aue_crl_ros.session.readings import Observation

DETECTIONS, MARKERS = "vision_msgs/msg/Detection2DArray", "visualization_msgs/msg/MarkerArray"


@pytest.fixture(scope="module")
def messages():
    return StoreMessages()


@pytest.fixture
def face():
    return FacePrediction(
        face_id="f3",
        box=FaceBox(40.0, 10.0, 20.0, 30.0),
        expression="happiness",
        confidence=0.6,
        probabilities=dict.fromkeys(facs.BASIC_EXPRESSIONS, 0.0) | {"happiness": 0.6, "neutral": 0.1, "surprise": 0.3},
        action_units=dict.fromkeys(facs.ACTION_UNITS, 0.5),
        landmarks=np.zeros((68, 2), np.float32),
    )


@pytest.fixture
def send(messages):
    """Makes a message of an observation (100x80 pixels) of these faces, and reads it back."""

    def make(kind, function, *faces):
        readings = tuple(FaceReading(face, frozenset(), False) for face in faces)
        image = np.zeros((80, 100, 3), np.uint8)
        observation = Observation("/camera", header(messages, 7_000_000_001, "optical"), 7_000_000_001, image, readings)
        return messages.deserialize(kind, messages.serialize(kind, function(messages, observation)))

    return make


def test_a_detection_has_the_box_the_id_and_the_expressions_the_one_in_force_first(send, face):
    got = send(DETECTIONS, detections, face)
    assert (got.header.stamp.sec, got.header.frame_id) == (7, "optical")
    (one,) = got.detections
    assert one.header == got.header
    assert one.id == "f3"
    assert (one.bbox.center.position.x, one.bbox.center.position.y) == (50.0, 25.0)
    assert (one.bbox.size_x, one.bbox.size_y, one.bbox.center.theta) == (20.0, 30.0, 0.0)
    named = [(result.hypothesis.class_id, result.hypothesis.score) for result in one.results]
    assert named[:3] == [("happiness", 0.6), ("surprise", 0.3), ("neutral", 0.1)]
    assert {name for name, _ in named} == set(facs.BASIC_EXPRESSIONS)


def test_a_face_of_low_quality_is_detected_with_no_score(send, face):
    (one,) = send(DETECTIONS, detections, replace(face, state="low_quality")).detections
    assert [(r.hypothesis.class_id, r.hypothesis.score) for r in one.results] == [("happiness", 0.0)]


def test_a_face_is_a_ball_and_a_text_above_it_at_a_rough_place_that_go_by_themselves(send, face):
    ball, text = send(MARKERS, markers, face).markers
    assert (ball.ns, ball.id, text.ns, text.id) == ("f3", 0, "f3", 1)
    place = ball.pose.position
    assert (place.x, place.z) == (0.0, pytest.approx(FACE_WIDTH_M * 100 / 20)), "in the middle, 20 of 100 pixels wide"
    assert place.y == pytest.approx((25 - 40) * FACE_WIDTH_M / 20)
    assert text.pose.position.y < place.y, "y points down"
    assert text.text == "f3 happiness 60%"
    assert ball.lifetime.sec == text.lifetime.sec == 1
    assert ball.color.a > 0


def test_doubt_is_written(send, face):
    _, text = send(MARKERS, markers, replace(face, state="low_quality")).markers
    assert text.text == "f3 happiness 60% (low quality)"


def test_no_face_is_an_empty_message(send):
    assert send(DETECTIONS, detections).detections == []
    assert send(MARKERS, markers).markers == []
