"""The values that flow from camera to consumer."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.types import FaceBox, FacePrediction, FaceQuality, Frame

position = st.floats(-1000, 1000, allow_subnormal=False)
side = st.floats(0, 1000, allow_subnormal=False)
boxes = st.builds(FaceBox, position, position, side, side)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_in_its_range(a, b):
    assert 0 <= a.iou(b) <= 1
    assert a.iou(b) == pytest.approx(b.iou(a))


def test_overlap_of_known_boxes():
    box = FaceBox(10, 10, 20, 20)
    assert box.iou(box) == 1
    assert box.iou(FaceBox(20, 10, 20, 20)) == pytest.approx(1 / 3)
    assert box.iou(FaceBox(30, 10, 20, 20)) == 0
    assert box.iou(FaceBox(15, 15, 0, 0)) == 0


def test_the_box_around_points_holds_them_tightly():
    points = np.array([[3, 9], [-1, 4], [7.5, 5]], dtype=np.float32)
    box = FaceBox.around(points, 0.25)
    assert box.as_list() == [-1, 4, 8.5, 5]
    assert box.score == 0.25
    assert all(type(value) is float for value in box.as_list())


@pytest.fixture
def prediction() -> FacePrediction:
    third = np.float32(1 / 3)
    return FacePrediction(
        face_id="f1",
        box=FaceBox(np.float32(1.26), 2, 3, 4),
        expression="anger",
        confidence=third,
        probabilities=dict.fromkeys(facs.BASIC_EXPRESSIONS, third),
        action_units=dict.fromkeys(facs.ACTION_UNITS, third),
        landmarks=np.full((68, 2), 1.26, dtype=np.float32),
    )


def test_a_record_is_plain_json_even_of_numpy_values(prediction):
    frame = Frame(np.zeros((2, 2, 3), np.uint8), "a.jpg", index=7, time_s=np.float32(1.5))
    record = json.loads(json.dumps(prediction.as_record(frame)))
    assert list(record) == [
        "source", "frame", "time_s", "face_id", "box", "expression",
        "confidence", "probabilities", "action_units", "landmarks", "state",
    ]  # fmt: skip
    assert (record["source"], record["frame"], record["time_s"], record["face_id"]) == ("a.jpg", 7, 1.5, "f1")
    assert record["box"] == [1.3, 2.0, 3.0, 4.0]
    assert record["confidence"] == 0.3333
    assert list(record["probabilities"]) == list(facs.BASIC_EXPRESSIONS)
    assert list(record["action_units"]) == [str(unit) for unit in facs.ACTION_UNITS]
    assert record["landmarks"] == [[1.3, 1.3]] * 68
    assert record["state"] == "ok"


def test_places_in_a_reduced_image_become_places_in_its_source(prediction):
    frame = Frame(np.zeros((2, 2, 3), np.uint8), "a.jpg", scale=2)
    record = prediction.as_record(frame)
    assert record["box"] == [2.5, 4.0, 6.0, 8.0]
    assert record["landmarks"][0] == [3.0, 3.0], "a pixel's centre lies between those of the two it stands for"
    assert prediction.in_source(Frame(frame.image)) is prediction


@pytest.mark.parametrize(
    ("state", "mouth", "said"),
    [
        ("ok", 1.0, ""),
        ("ok", 0.0, ""),  # the user takes such answers
        ("uncertain", 1.0, "uncertain"),
        ("low_quality", 1.0, "low quality"),
        ("low_quality", 0.2, "mouth covered"),
    ],
)
def test_the_caveat_says_what_people_should_know(prediction, state, mouth, said):
    face = dataclasses.replace(prediction, state=state, quality=FaceQuality(90.0, 100.0, 0.9, mouth_visible=mouth))
    assert face.caveat == said
    assert dataclasses.replace(face, quality=None).caveat == said.replace("mouth covered", "low quality")


def test_values_cannot_be_changed(prediction):
    with pytest.raises(dataclasses.FrozenInstanceError):
        prediction.expression = "fear"


def test_overlap_is_of_the_smaller_box():
    box = FaceBox(10, 10, 20, 20)
    assert box.overlap(FaceBox(12, 12, 4, 4)) == FaceBox(12, 12, 4, 4).overlap(box) == 1
    assert box.overlap(FaceBox(20, 10, 20, 20)) == pytest.approx(1 / 2)
    assert box.overlap(FaceBox(30, 10, 20, 20)) == 0
