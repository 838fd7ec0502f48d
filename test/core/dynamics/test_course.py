"""Films over time: the same readings and events as the node's session has."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from aue_crl_core import facs
from aue_crl_core.dynamics.course import FaceCourse, FilmCourse
from aue_crl_core.dynamics.events import EventConfig
from aue_crl_core.dynamics.readings import EventPhase
from aue_crl_core.dynamics.smoothing import TemporalConfig
from aue_crl_core.errors import ConfigError
from aue_crl_core.types import FaceBox, FacePrediction, Frame

IMAGE = np.zeros((100, 100, 3), np.uint8)
SHARP = TemporalConfig(smoothing_s=0.0, hysteresis=0.0)
RIGHT_HALF = [*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67]
"""Of the face that is seen: its points at the left of the image."""


def _face(label: str, p: float = 0.7, face_id: str = "f1") -> FacePrediction:
    rest = (1 - p) / (len(facs.BASIC_EXPRESSIONS) - 1)
    names = {name: p if name == label else rest for name in facs.BASIC_EXPRESSIONS}
    points = np.full((68, 2), 50, np.float32)
    return FacePrediction(face_id, FaceBox(0, 0, 9, 9), label, p, names, dict.fromkeys(facs.ACTION_UNITS, 0.2), points)


def _frame(time_s: float) -> Frame:
    return Frame(IMAGE, "film.mp4", index=round(time_s * 25), time_s=time_s, camera="film.mp4")


def test_readings_are_smoothed_by_the_films_seconds():
    course = FilmCourse(TemporalConfig(smoothing_s=0.5))
    course.update(_frame(1.0), [_face("fear", 0.9)])
    ((reading,), _) = course.update(_frame(1.5), [_face("fear", 0.902)])
    kept = math.exp(-1)  # after one time constant
    assert 0.902 - reading.prediction.probabilities["fear"] == pytest.approx(0.002 * kept, rel=1e-2)


def test_a_lasting_expression_begins_and_ends_with_its_id():
    course = FilmCourse(events=EventConfig(min_event_s=0.2))
    told = [course.update(_frame(t / 10), [_face("fear", 0.9)])[1] for t in range(4)]
    assert [[(e.expression, e.phase) for e in events] for events in told] == [[], [], [("fear", EventPhase.BEGAN)], []]
    readings, events = course.update(_frame(0.5), [], ["f1"])
    assert (readings, [(e.expression, e.phase) for e in events]) == ([], [("fear", EventPhase.ENDED)])
    assert course.end() == []


def test_the_end_of_a_film_ends_what_is_on():
    course = FilmCourse(events=EventConfig(min_event_s=0.0))
    course.update(_frame(0.0), [_face("fear", 0.9), _face("anger", 0.9, "f2")])
    assert {(e.face_id, e.phase) for e in course.end()} == {("f1", EventPhase.ENDED), ("f2", EventPhase.ENDED)}


def test_the_first_seconds_of_each_face_are_its_resting_face():
    course = FilmCourse(SHARP, neutral_s=0.3)
    sad = replace(_face("sadness", 0.5), state="ok")
    labels = [course.update(_frame(t / 10), [sad])[0][0] for t in range(6)]
    assert [reading.calibrated for reading in labels] == [False, False, False, True, True, True]
    assert [reading.prediction.expression for reading in labels] == ["sadness"] * 3 + ["neutral"] * 3
    (other,) = course.update(_frame(0.6), [replace(sad, face_id="f2")])[0]
    assert not other.calibrated


def test_the_stamps_of_events_are_the_films_nanoseconds():
    course = FilmCourse(events=EventConfig(min_event_s=0.0))
    ((began,),) = [course.update(_frame(10.0), [_face("fear", 0.9)])[1]]
    assert (began.began_ns, began.peaked_ns) == (10_000_000_000, 10_000_000_000)


def test_after_its_first_seconds_a_face_teaches_no_more():
    course = FilmCourse(SHARP, neutral_s=0.3)
    for t in range(4):
        course.update(_frame(t / 10), [_face("sadness", 0.5)])
    happy = [course.update(_frame(t / 10), [_face("happiness", 0.6)])[0][0].prediction for t in range(4, 30)]
    assert {face.probabilities["happiness"] for face in happy} == {happy[0].probabilities["happiness"]}


@pytest.mark.parametrize("face", [_face("happiness", 0.98), replace(_face("sadness", 0.5), state="low_quality")])
def test_of_a_face_that_was_too_expressive_or_hardly_seen_nothing_is_taken_off(face):
    course = FilmCourse(SHARP, neutral_s=0.3)
    for t in range(4):
        course.update(_frame(t / 10), [face])
    ((reading,), _) = course.update(_frame(0.4), [_face("sadness", 0.5)])
    assert (reading.calibrated, reading.prediction.expression) == (False, "sadness")


@pytest.mark.parametrize("half", [RIGHT_HALF, [facs.MIRRORED_POINTS[i] for i in RIGHT_HALF]], ids=["right", "left"])
def test_of_a_face_whose_turn_nobody_measured_neither_side_is_taken_for_hidden(half):
    face = _face("fear")
    face.landmarks[half, 0] = -50  # out of the image
    reading, _ = FaceCourse().update(face, 0, (100, 100))
    assert reading.visible == frozenset(facs.ACTION_UNITS)
    assert not reading.calibrated


@pytest.mark.parametrize("neutral_s", [0.0, -1.0, math.inf, math.nan])
def test_a_time_that_is_none_is_refused(neutral_s):
    with pytest.raises(ConfigError, match="neutral_s must be above 0"):
        FilmCourse(neutral_s=neutral_s)
