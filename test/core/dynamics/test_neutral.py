"""A resting face that looks angry, learned and then read as neutral; and what a bad lesson must not break."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.dynamics.neutral import (
    MAX_BIAS,
    UNIT_AT_REST,
    UNITS_AT_REST,
    NeutralCalibration,
    NeutralProfile,
)
from aue_crl_core.errors import ConfigError
from aue_crl_core.types import FaceBox, FacePrediction


def _prediction(likely: dict[str, float], units: dict[int, float] | None = None, state="ok") -> FacePrediction:
    names = facs.BASIC_EXPRESSIONS
    rest = (1 - sum(likely.values())) / max(1, len(names) - len(likely))
    full = {name: likely.get(name, rest) for name in names}
    best = max(full, key=full.get)
    points = np.zeros((68, 2), np.float32)
    unit_values = dict.fromkeys(facs.ACTION_UNITS, 0.0) | (units or {})
    return FacePrediction("f1", FaceBox(0, 0, 9, 9), best, full[best], full, unit_values, points, state)


ANGRY_AT_REST = _prediction({"anger": 0.6, "neutral": 0.2}, {4: 0.5, 12: 0.1})


def test_a_resting_face_that_looks_angry_is_read_as_neutral():
    profile = NeutralProfile.learned([ANGRY_AT_REST] * 3)
    face = profile.apply(ANGRY_AT_REST)
    assert profile.reads_neutral
    assert (face.expression, face.confidence) == ("neutral", face.probabilities["neutral"])
    assert face.probabilities["neutral"] == pytest.approx(2 * face.probabilities["anger"])
    assert math.fsum(face.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", [name for name in facs.BASIC_EXPRESSIONS if name != "neutral"])
def test_whatever_a_face_looks_like_at_rest_it_becomes_neutral(name):
    at_rest = _prediction({name: 0.6, "neutral": 0.2})
    profile = NeutralProfile.learned([at_rest])
    assert profile.reads_neutral
    assert profile.apply(at_rest).expression == "neutral"


def test_the_odds_of_no_expression_are_lowered_by_more_than_e_to_the_third():
    smile = _prediction({"happiness": 0.9, "neutral": 0.03})
    profile = NeutralProfile.learned([smile] * 3)
    assert profile.bias == dict.fromkeys(facs.BASIC_EXPRESSIONS, 0.0) | {"happiness": -3.0}
    odds = [face.probabilities["happiness"] / face.probabilities["neutral"] for face in (smile, profile.apply(smile))]
    assert odds[0] / odds[1] == pytest.approx(math.exp(3))


def test_what_is_never_seen_at_rest_stays_as_it_is():
    certain = _prediction({"happiness": 1.0} | dict.fromkeys(set(facs.BASIC_EXPRESSIONS) - {"happiness"}, 0.0))
    profile = NeutralProfile.learned([_prediction({"happiness": 0.5, "neutral": 0.5}), certain])
    assert profile.bias == dict.fromkeys(facs.BASIC_EXPRESSIONS, 0.0) | {"happiness": -3.0}


def test_expressions_of_that_face_are_still_seen():
    profile = NeutralProfile.learned([ANGRY_AT_REST] * 3)
    for name in facs.BASIC_EXPRESSIONS:
        assert profile.apply(_prediction({name: 0.97})).expression == name


def _odds(p: float) -> float:
    return p / (1 - p)


@pytest.mark.parametrize("at_rest", [0.001, 0.02, 0.3, 0.7])
@pytest.mark.parametrize(("unit", "typical"), [(12, UNIT_AT_REST), (4, UNITS_AT_REST[4])])
def test_units_are_relative_to_rest(unit, typical, at_rest):
    """All odds of a unit change by the same factor, towards what a unit at rest should be."""
    profile = NeutralProfile.learned([_prediction({"neutral": 0.9}, {unit: at_rest})] * 3)
    at = lambda p: profile.apply(_prediction({"anger": 0.5}, {unit: p})).action_units[unit]  # noqa: E731
    factor = (_odds(typical) / _odds(at_rest)) ** 0.5
    assert [_odds(at(p)) for p in (0.1, 0.5, 0.9)] == pytest.approx([_odds(p) * factor for p in (0.1, 0.5, 0.9)])


def test_brows_that_look_raised_at_rest_are_not_and_lowered_ones_are_seen_to_be():
    """As of a face whose brows sit high: AU 1 is told of it all the time, AU 4 hardly when it frowns."""
    profile = NeutralProfile.learned([_prediction({"neutral": 0.9}, {1: 0.9, 4: 0.0003})] * 3)
    rest, frown = (
        profile.apply(_prediction({"neutral": 0.8}, units)) for units in ({1: 0.9, 4: 0.0003}, {1: 0.3, 4: 0.2})
    )
    assert rest.action_units[1] < 0.51
    assert rest.action_units[4] < 0.02
    assert frown.action_units[1] < 0.06
    assert frown.action_units[4] > 0.5


def test_the_sides_stay_those_of_the_picture():
    at_rest = replace(_prediction({"neutral": 0.9}, {2: 0.5}), sides={"left": {2: 0.8}, "right": {2: 0.2}})
    assert NeutralProfile.learned([at_rest] * 3).apply(at_rest).sides == at_rest.sides


def test_intensities_are_relative_to_rest_too():
    at_rest, smiling = (replace(ANGRY_AT_REST, intensities={4: 2.0, 12: i}) for i in (0.0, 3.0))
    face = NeutralProfile.learned([at_rest] * 3).apply(replace(smiling, intensities={4: 3.5, 12: 3.0}))
    assert face.intensities == pytest.approx({4: 2.5, 12: 3.0})
    assert NeutralProfile.learned([at_rest]).apply(at_rest).intensities == {4: 0, 12: 0}
    strongest = replace(at_rest, intensities={4: 5.0, 12: 5.0})
    assert NeutralProfile.learned([strongest]).apply(strongest).intensities == pytest.approx({4: 5.0, 12: 5.0})


def test_a_face_that_is_neutral_at_rest_is_left_alone():
    face = _prediction({"neutral": 0.9}, {})
    profile = NeutralProfile.learned([face])
    assert set(profile.bias.values()) == {0.0}
    assert profile.apply(face).probabilities == pytest.approx(face.probabilities)


def test_a_lesson_learned_while_smiling_is_known_as_one_and_does_not_invert_the_smile():
    smile = _prediction({"happiness": 0.98}, {6: 0.99, 12: 0.99})
    profile = NeutralProfile.learned([smile] * 10)
    assert not profile.reads_neutral
    assert profile.apply(smile).expression == "happiness"
    assert profile.apply(_prediction({"sadness": 0.7})).expression == "sadness"
    assert profile.apply(smile).action_units[12] > 0.5


distribution = st.lists(st.floats(1e-4, 1), min_size=7, max_size=7).map(
    lambda v: dict(zip(facs.BASIC_EXPRESSIONS, [x / math.fsum(v) for x in v], strict=True))
)
unit_values = st.dictionaries(st.sampled_from(facs.ACTION_UNITS), st.floats(0, 1))


@given(st.lists(st.tuples(distribution, unit_values), min_size=1, max_size=5), distribution, unit_values)
def test_whatever_was_learned_the_result_is_a_distribution_and_the_correction_bounded(lessons, seen, units):
    profile = NeutralProfile.learned([_prediction(p, u) for p, u in lessons])
    before = _prediction(seen, units)
    face = profile.apply(before)
    assert math.fsum(face.probabilities.values()) == pytest.approx(1)
    assert face.expression == max(face.probabilities, key=face.probabilities.get)
    for name in facs.BASIC_EXPRESSIONS:
        odds = face.probabilities[name] * before.probabilities["neutral"]
        odds /= face.probabilities["neutral"] * before.probabilities[name]
        assert math.exp(-MAX_BIAS) - 1e-9 <= odds <= 1 + 1e-9
    higher = profile.apply(replace(before, action_units=dict.fromkeys(facs.ACTION_UNITS, 1.0)))
    for unit, p in face.action_units.items():
        assert 0 < p <= higher.action_units[unit] < 1
        assert abs(profile.units[unit]) <= MAX_BIAS


def test_a_vocabulary_without_neutral_has_its_units_corrected_only():
    full = dict.fromkeys(facs.COMPOUND_EXPRESSIONS, 1 / 11)
    points = np.zeros((68, 2), np.float32)
    units = dict.fromkeys(facs.ACTION_UNITS, 0.5)
    face = FacePrediction("f1", FaceBox(0, 0, 9, 9), next(iter(full)), 1 / 11, full, units, points)
    profile = NeutralProfile.learned([face])
    assert not profile.reads_neutral
    assert set(profile.bias.values()) == {0.0}
    assert profile.apply(face).probabilities == pytest.approx(full)
    odds = [_odds(p) for p in profile.apply(face).action_units.values()]
    typical = [UNITS_AT_REST.get(unit, UNIT_AT_REST) for unit in facs.ACTION_UNITS]
    assert odds == pytest.approx([_odds(p) ** 0.5 for p in typical])


def test_a_profile_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        NeutralProfile.learned([ANGRY_AT_REST]).reads_neutral = False


def test_nothing_is_learned_from_nothing():
    with pytest.raises(ConfigError, match="at least one prediction"):
        NeutralProfile.learned([])


def test_a_calibration_is_over_when_its_time_on_the_images_clock_is():
    calibration = NeutralCalibration(1.0)
    stamps = [100.0, 100.4, 100.8, 101.1]
    assert [calibration.add(ANGRY_AT_REST, s) for s in stamps] == [False, False, False, True]
    assert calibration.frames == 4
    assert calibration.profile() == NeutralProfile.learned([ANGRY_AT_REST] * 4)


def test_bad_images_take_time_and_teach_nothing():
    calibration = NeutralCalibration(1.0)
    bad = _prediction({"anger": 0.9}, state="low_quality")
    assert [calibration.add(bad, s) for s in (0.0, 0.5, 0.9)] == [False] * 3
    assert calibration.add(ANGRY_AT_REST, 1.0)
    assert calibration.frames == 1
    assert calibration.profile() is None


def test_three_images_teach_and_two_do_not():
    calibration = NeutralCalibration(1.0)
    profiles = []
    for stamp in (0.0, 0.1, 0.2):
        calibration.add(ANGRY_AT_REST, stamp)
        profiles.append(calibration.profile())
    assert profiles == [None, None, NeutralProfile.learned([ANGRY_AT_REST] * 3)]


def test_of_one_stamp_only_the_first_image_teaches():
    calibration, again = NeutralCalibration(1.0), _prediction({"happiness": 0.9})
    for k in range(6):
        calibration.add(again if k % 2 else ANGRY_AT_REST, k // 2 / 10)
    assert calibration.profile() == NeutralProfile.learned([ANGRY_AT_REST] * 3)


def test_the_same_image_again_teaches_nothing_more_and_time_that_starts_over_starts_over():
    calibration = NeutralCalibration(1.0)
    for stamp in (50.0, 50.0, 50.5):
        assert not calibration.add(ANGRY_AT_REST, stamp)
    assert calibration.frames == 2
    assert not calibration.add(ANGRY_AT_REST, 3.0)
    assert calibration.frames == 1
    assert calibration.add(ANGRY_AT_REST, 4.0)


@pytest.mark.parametrize("duration", [0, -1, math.inf, math.nan])
def test_its_duration_is_checked(duration):
    with pytest.raises(ConfigError, match="duration_s must be"):
        NeutralCalibration(duration)
