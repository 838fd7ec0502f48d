"""Began, peaked, ended: truth tables on stamps."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from aue_crl_core import facs
from aue_crl_core.dynamics.events import EventConfig, EventDetector
from aue_crl_core.dynamics.readings import EventKind, EventPhase, FaceReading
from aue_crl_core.errors import ConfigError
from aue_crl_core.types import FaceBox, FacePrediction

MS = 1_000_000
BEGAN, PEAKED, ENDED = EventPhase.BEGAN, EventPhase.PEAKED, EventPhase.ENDED
ALL = frozenset(facs.ACTION_UNITS)


def _reading(label="neutral", p=0.7, units=None, state="ok", face_id="f1", visible=ALL) -> FaceReading:
    full = dict.fromkeys(facs.BASIC_EXPRESSIONS, (1 - p) / 6) | {label: p}
    values = dict.fromkeys(facs.ACTION_UNITS, 0.0) | (units or {})
    points = np.zeros((68, 2), np.float32)
    prediction = FacePrediction(face_id, FaceBox(0, 0, 9, 9), label, p, full, values, points, state)
    return FaceReading(prediction, visible)


def _told(detector: EventDetector, table) -> list[tuple]:
    """(stamp in ms, reading) rows -> (stamp, what, phase) of all events, in order."""
    return [
        (ms, event.expression or event.action_unit, event.phase)
        for ms, reading in table
        for event in detector.update(reading, ms * MS)
    ]


def test_an_expression_begins_when_it_has_lasted_and_ends_when_another_is_in_force():
    detector = EventDetector(EventConfig(min_event_s=0.2))
    rows = [
        (0, "happiness"),
        (100, "happiness"),
        (200, "happiness"),
        (300, "happiness"),
        (400, "anger"),
        (600, "anger"),
    ]
    assert _told(detector, [(ms, _reading(label)) for ms, label in rows]) == [
        (200, "happiness", BEGAN),
        (400, "happiness", PEAKED),
        (400, "happiness", ENDED),
        (600, "anger", BEGAN),
    ]


def test_the_event_knows_its_true_beginning_and_its_peak():
    detector = EventDetector(EventConfig(min_event_s=0.2))
    for ms, p in ((1000, 0.7), (1100, 0.95), (1150, 0.9)):
        assert detector.update(_reading("fear", p), ms * MS) == []
    (began,) = detector.update(_reading("fear", 0.88), 1200 * MS)
    assert (began.face_id, began.kind, began.expression, began.action_unit) == ("f1", EventKind.EXPRESSION, "fear", 0)
    assert (began.began_ns, began.peaked_ns) == (1000 * MS, 1100 * MS)
    assert (began.probability, began.peak_probability) == (0.88, 0.95)


def test_a_peak_that_lasts_is_where_it_was_first_reached_and_told_once():
    detector = EventDetector(EventConfig(min_event_s=0))
    course = [0.7, 0.95, 0.95, 0.8, 0.95, 0.8]
    events = [e for i, p in enumerate(course) for e in detector.update(_reading("fear", p), i * MS)]
    assert [(e.phase, e.peaked_ns) for e in events] == [(BEGAN, 0), (PEAKED, 1 * MS)]


def test_by_default_a_unit_is_on_from_6_tenths_until_below_4_and_told_of_after_100_ms():
    detector = EventDetector()
    course = [(0, 0.59), (100, 0.6), (199, 0.4), (200, 0.4), (210, 0.39)]
    units = _told(detector, [(ms, _reading(state="uncertain", units={12: p})) for ms, p in course])
    assert units == [(200, 12, BEGAN), (200, 12, PEAKED), (210, 12, ENDED)]


def test_no_event_comes_a_nanosecond_too_early():
    detector = EventDetector(EventConfig(min_event_s=10))
    stamps = (0, 9_999_999_999, 10_000_000_000)
    assert [len(detector.update(_reading("fear"), ns)) for ns in stamps] == [0, 0, 1]


def test_what_lasts_too_shortly_is_not_told():
    detector = EventDetector(EventConfig(min_event_s=0.2))
    assert _told(detector, [(0, _reading("fear")), (190, _reading("fear")), (200, _reading(state="uncertain"))]) == []


def test_without_a_least_duration_the_old_one_ends_before_the_new_one_begins():
    detector = EventDetector(EventConfig(min_event_s=0))
    told = _told(detector, [(0, _reading("neutral")), (1, _reading("surprise", 0.9)), (2, _reading("neutral", 0.9))])
    ended_then_began = [row for row in told if row[2] != PEAKED]
    assert ended_then_began == [
        (0, "neutral", BEGAN),
        (1, "neutral", ENDED),
        (1, "surprise", BEGAN),
        (2, "surprise", ENDED),
        (2, "neutral", BEGAN),
    ]


@pytest.mark.parametrize(("one", "other"), itertools.permutations(facs.BASIC_EXPRESSIONS, 2))
def test_whichever_label_follows_whichever_the_old_one_ends_first(one, other):
    detector = EventDetector(EventConfig(min_event_s=0))
    told = _told(detector, [(0, _reading(one)), (1, _reading(other))])
    assert [row for row in told if row[2] != PEAKED] == [(0, one, BEGAN), (1, one, ENDED), (1, other, BEGAN)]


def test_a_peak_is_told_once_and_a_higher_one_again():
    detector = EventDetector(EventConfig(min_event_s=0.1))
    course = [0.6, 0.8, 0.75, 0.69, 0.6, 0.75, 0.9, 0.85, 0.79, 0.7]
    told = _told(detector, [(100 * i, _reading("happiness", p)) for i, p in enumerate(course)])
    assert told == [(100, "happiness", BEGAN), (300, "happiness", PEAKED), (800, "happiness", PEAKED)]


def test_an_uncertain_face_has_no_expression_in_force():
    detector = EventDetector(EventConfig(min_event_s=0.1))
    table = [(0, _reading("fear")), (100, _reading("fear")), (200, _reading("fear", state="uncertain"))]
    assert _told(detector, table) == [(100, "fear", BEGAN), (200, "fear", ENDED)]


def test_a_unit_begins_at_one_limit_and_ends_below_the_other():
    detector = EventDetector(EventConfig(unit_on=0.6, unit_off=0.4, min_event_s=0))
    course = [0.5, 0.6, 0.5, 0.4, 0.39, 0.5, 0.7]
    events = [
        (i, e.phase, e.probability, e.peak_probability)
        for i, p in enumerate(course)
        for e in detector.update(_reading(units={12: p}), i * MS)
        if e.kind is EventKind.ACTION_UNIT and e.action_unit == 12 and e.expression == ""
    ]
    assert events == [(1, BEGAN, 0.6, 0.6), (2, PEAKED, 0.5, 0.6), (4, ENDED, 0.39, 0.6), (6, BEGAN, 0.7, 0.7)]


def test_a_unit_that_is_not_visible_is_held():
    detector = EventDetector(EventConfig(min_event_s=0))
    hidden = ALL - {12}
    assert (0, 12, BEGAN) not in _told(detector, [(0, _reading(units={12: 1.0}, visible=hidden))])
    assert (1, 12, BEGAN) in _told(detector, [(1, _reading(units={12: 1.0}))])
    assert _told(detector, [(2, _reading(visible=hidden))]) == []
    assert (3, 12, ENDED) in _told(detector, [(3, _reading())])


def test_a_bad_image_changes_nothing():
    detector = EventDetector(EventConfig(min_event_s=0.1))
    bad = _reading("sadness", units={12: 1.0}, state="low_quality")
    table = [(0, _reading("fear")), (50, bad), (100, _reading("fear")), (150, bad), (900, bad), (950, _reading("fear"))]
    assert _told(detector, table) == [(100, "fear", BEGAN)]


def test_with_the_face_everything_ends_that_had_been_told_of():
    detector = EventDetector(EventConfig(min_event_s=0.1))
    for ms in (0, 100):
        detector.update(_reading("fear", 0.8, {1: 0.9}), ms * MS)
    detector.update(_reading("fear", 0.8, {1: 0.9, 2: 0.9}), 150 * MS)
    ended = detector.end(["f1", "nobody"])
    assert [(e.expression or e.action_unit, e.phase, e.probability) for e in ended] == [
        ("fear", ENDED, 0.8),
        (1, ENDED, 0.9),
    ]
    assert detector.end(["f1"]) == []


def test_faces_are_followed_apart():
    detector = EventDetector(EventConfig(min_event_s=0.1))
    detector.update(_reading("fear"), 0)
    detector.update(_reading("anger", face_id="g1"), 50 * MS)
    (event,) = detector.update(_reading("fear"), 100 * MS)
    assert (event.face_id, event.expression) == ("f1", "fear")


@pytest.mark.parametrize(("back_ms", "told"), [(9_900, []), (500, [(500, "fear", ENDED)])])
def test_time_that_starts_over_ends_what_was_on_and_a_small_step_back_does_not(back_ms, told):
    detector = EventDetector(EventConfig(min_event_s=0.1))
    _told(detector, [(9_800, _reading("fear")), (10_000, _reading("fear"))])
    assert _told(detector, [(back_ms, _reading("fear"))]) == told


@pytest.mark.parametrize(("back_ns", "phases"), [(500_000_000, []), (500_000_001, [ENDED])])
def test_a_step_back_of_half_a_second_is_a_small_one(back_ns, phases):
    detector = EventDetector(EventConfig(min_event_s=0))
    detector.update(_reading("fear"), 10**10)
    assert [e.phase for e in detector.update(_reading("fear", state="low_quality"), 10**10 - back_ns)] == phases


def test_other_limits_are_used_from_the_next_image_on():
    detector = EventDetector(EventConfig(min_event_s=10))
    detector.update(_reading("fear"), 0)
    detector.config = EventConfig(min_event_s=0)
    assert [e.phase for e in detector.update(_reading("fear"), MS)] == [BEGAN]


@pytest.mark.parametrize(
    "values",
    [
        {"unit_on": 1.1},
        {"unit_on": -0.1},
        {"unit_off": 0.7},
        {"unit_off": -0.1},
        {"min_event_s": -1},
        {"min_event_s": 10.1},
    ],
)
def test_limits_are_checked(values):
    with pytest.raises(ConfigError, match=f"{next(iter(values))} must be"):
        EventConfig(**values)


def test_the_ends_of_the_ranges_are_limits_too_and_a_config_cannot_be_changed():
    EventConfig(unit_on=0.0, unit_off=0.0, min_event_s=0.0)
    config = EventConfig(unit_on=1.0, unit_off=1.0, min_event_s=10.0)
    with pytest.raises(FrozenInstanceError):
        config.unit_on = 2.0
