"""Smoothing, the label in force, and what a bad image does to them: truth tables on stamps, and properties."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.dynamics.smoothing import TemporalConfig, TemporalFilter
from aue_crl_core.errors import ConfigError
from aue_crl_core.types import FaceBox, FacePrediction, Frame

POINTS = np.zeros((68, 2), np.float32)


def _prediction(probabilities: dict[str, float], units: float = 0.0, state="ok", face_id: str = "f1") -> FacePrediction:
    rest = (1 - sum(probabilities.values())) / (7 - len(probabilities))
    full = {name: probabilities.get(name, rest) for name in facs.BASIC_EXPRESSIONS}
    best = max(full, key=full.get)
    return FacePrediction(
        face_id, FaceBox(0, 0, 9, 9), best, full[best], full, dict.fromkeys(facs.ACTION_UNITS, units), POINTS, state
    )


HAPPY = _prediction({"happiness": 0.88}, units=1.0)
SAD = _prediction({"sadness": 0.88})


def test_the_first_prediction_is_taken_as_it_is():
    first = TemporalFilter().update(HAPPY, 100.0)
    assert first.as_record(Frame(first.landmarks)) == HAPPY.as_record(Frame(HAPPY.landmarks))


def test_a_small_change_counts_63_percent_after_one_time_constant():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0.5))
    smooth.update(_prediction({"happiness": 0.4}, units=0.5), 10.0)
    face = smooth.update(_prediction({"happiness": 0.401}, units=0.501), 10.5)
    gain = 1 - math.exp(-1)
    assert face.action_units[12] - 0.5 == pytest.approx(gain * 0.001, rel=1e-3)
    assert face.probabilities["happiness"] - 0.4 == pytest.approx(gain * 0.001, rel=1e-3)


def test_an_intensity_is_smoothed_as_a_fifth_of_it_is():
    """On a scale of 0 to 5 as on one of 0 to 1."""
    weak, strong = (replace(_prediction({"happiness": 0.88}, units=u), intensities={12: 5 * u}) for u in (0.2, 0.6))
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0.5))
    smooth.update(weak, 0.0)
    face = smooth.update(strong, 0.1)
    assert 1.0 < face.intensities[12] < 3.0
    assert face.intensities[12] == pytest.approx(5 * face.action_units[12])
    held = smooth.update(replace(weak, state="low_quality"), 0.2)
    assert held.intensities == face.intensities


def test_by_default_the_time_constant_is_three_tenths_of_a_second():
    smooth = TemporalFilter()
    smooth.update(_prediction({"happiness": 0.88}, units=0.5), 0.0)
    face = smooth.update(_prediction({"happiness": 0.88}, units=0.501), 0.3)
    assert 0.501 - face.action_units[12] == pytest.approx(0.001 * math.exp(-1), rel=1e-3)


@pytest.mark.parametrize("change", [0.01, 0.1, 0.3, 0.9])
def test_a_change_is_followed_the_faster_the_larger_it_is(change):
    """As small steps of the differential equation do, which the filter solves in one."""
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0.3))
    smooth.update(_prediction({"happiness": 0.88}, units=0.0), 0.0)
    face = smooth.update(_prediction({"happiness": 0.88}, units=change), 1 / 30)
    gap, step = change, 1e-6
    for _ in range(round(1 / 30 / step)):
        gap -= step / 0.3 * (1 + (gap / 0.1) ** 2) * gap
    assert face.action_units[12] == pytest.approx(change - gap, rel=1e-3)


def test_an_expression_that_changes_altogether_is_followed_within_two_images_at_30_hz():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0.3))
    smooth.update(HAPPY, 0.0)
    smooth.update(SAD, 1 / 30)
    face = smooth.update(SAD, 2 / 30)
    assert (face.expression, face.confidence) == ("sadness", face.probabilities["sadness"])
    assert face.probabilities["sadness"] > 0.6


@given(st.integers(1, 40), st.floats(0.01, 1))
def test_the_frame_rate_does_not_matter(steps, unit):
    after = []
    for count in (1, steps):
        smooth = TemporalFilter(TemporalConfig(smoothing_s=0.3))
        smooth.update(_prediction({"happiness": 0.88}, units=unit), 0.0)
        for i in range(1, count + 1):
            face = smooth.update(SAD, 0.6 * i / count)
        after.append([*face.probabilities.values(), face.action_units[1]])
    assert after[0] == pytest.approx(after[1], abs=1e-9)


def _speech(seconds: float, hz: float = 30) -> list[tuple[float, FacePrediction]]:
    """Neutral, but for every third tenth of a second, in which the teeth show as if it smiled."""
    neutral, teeth = _prediction({"neutral": 0.94}), _prediction({"happiness": 0.94}, units=1.0)
    return [(i / hz, teeth if int(i / hz * 10) % 3 == 2 else neutral) for i in range(round(seconds * hz))]


def test_a_mouth_that_speaks_does_not_change_the_expression_every_time_it_shows_teeth():
    smooth = TemporalFilter(TemporalConfig(uncertain_below=0.7))
    faces = [(stamp, smooth.update(face, stamp)) for stamp, face in _speech(6)]
    settled = [face for stamp, face in faces if stamp > 1.5]
    assert {face.expression for face in settled} == {"neutral"}
    assert {face.state for face in settled} == {"ok"}, "each reading is sure, and most are neutral"
    assert max(face.action_units[25] for face in settled) > 0.85 > 0.15 > min(face.action_units[25] for face in settled)


def test_what_lasts_is_told_of_one_who_speaks_too():
    smooth = TemporalFilter()
    for stamp, face in _speech(6):
        smooth.update(face, stamp)
    late = next(i for i in range(1, 60) if smooth.update(SAD, 6 + i / 30).expression == "sadness")
    assert 0.1 < late / 30 <= 0.5


@pytest.mark.parametrize(("lasts", "images"), [(30, 1), (15, 4)])
def test_expressions_that_follow_one_another_are_told_soon_even_two_a_second(lasts, images):
    """At 30 Hz: how many images later, at most, than the first that shows it."""
    smooth = TemporalFilter()
    for i in range(16 * lasts):
        shown = ("neutral", "happiness", "neutral", "surprise")[i // lasts % 4]
        told = smooth.update(_prediction({shown: 0.94}), i / 30).expression
        assert told == shown or i % lasts < images


def test_of_one_who_spoke_a_while_ago_a_change_is_told_as_soon_as_of_any_other():
    probabilities = []
    for before in (_speech(6), [(0.0, _speech(1)[0][1])]):
        smooth = TemporalFilter()
        for stamp, face in before:
            smooth.update(face, stamp)
        for i in range(300):
            smooth.update(before[0][1], 6 + i / 30)
        probabilities.append(smooth.update(SAD, 16.0).probabilities["sadness"])
    assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-3)


def test_an_image_that_comes_again_and_again_is_no_speech():
    probabilities = []
    for times in (0, 20):
        smooth = TemporalFilter()
        smooth.update(HAPPY, 1.0)
        for i in range(times):
            smooth.update((SAD, HAPPY)[i % 2], 1.0)
        probabilities.append(smooth.update(SAD, 1.1).probabilities)
    assert probabilities[0] == probabilities[1]


def test_without_smoothing_speech_is_told_as_it_is_read():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0))
    assert all(smooth.update(face, stamp).expression == face.expression for stamp, face in _speech(3))


distribution = st.lists(st.floats(0.01, 1), min_size=7, max_size=7).map(lambda v: [x / math.fsum(v) for x in v])


@given(st.lists(st.tuples(distribution, st.floats(0, 1), st.floats(0, 2)), min_size=1, max_size=20))
def test_it_stays_a_distribution_within_what_came_in(inputs):
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0.4))
    stamp, seen = 0.0, []
    for values, unit, elapsed in inputs:
        stamp += elapsed
        seen.append(values)
        face = smooth.update(_prediction(dict(zip(facs.BASIC_EXPRESSIONS[:6], values[:6], strict=True)), unit), stamp)
        got = list(face.probabilities.values())
        assert math.fsum(got) == pytest.approx(1, abs=1e-9)
        for i, p in enumerate(got):
            column = [row[i] for row in seen]
            assert min(column) - 1e-9 <= p <= max(column) + 1e-9
        assert face.confidence == face.probabilities[face.expression]


def test_the_label_in_force_yields_only_to_a_clear_lead():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0, hysteresis=0.1, uncertain_below=0))
    table = [
        ((0.50, 0.30), "happiness"),
        ((0.40, 0.45), "happiness"),
        ((0.40, 0.49), "happiness"),
        ((0.40, 0.51), "sadness"),
        ((0.45, 0.40), "sadness"),
        ((0.55, 0.40), "happiness"),
    ]
    for stamp, ((happy, sad), label) in enumerate(table):
        face = smooth.update(_prediction({"happiness": happy, "sadness": sad}), stamp)
        assert (face.expression, face.confidence) == (label, pytest.approx(happy if label == "happiness" else sad))


def test_a_lead_of_just_the_hysteresis_is_not_clear():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0, hysteresis=0.25))
    smooth.update(HAPPY, 0.0)
    assert smooth.update(_prediction({"happiness": 0.25, "sadness": 0.5}), 0.1).expression == "happiness"


@pytest.mark.parametrize(("confidence", "state"), [(0.39, "uncertain"), (0.4, "ok"), (0.41, "ok")])
def test_it_abstains_by_the_smoothed_confidence(confidence, state):
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0, uncertain_below=0.4))
    assert smooth.update(_prediction({"fear": confidence}), 0.0).state == state


def test_sure_readings_of_which_none_is_there_most_of_the_time_are_uncertain():
    smooth = TemporalFilter(TemporalConfig(uncertain_below=0.6))
    three = [_prediction({name: 0.94}) for name in ("neutral", "happiness", "surprise")]
    states = [smooth.update(three[i // 3 % 3], i / 30).state for i in range(180)]
    assert set(states[90:]) == {"uncertain"}


def test_what_is_certain_stays_so_within_the_hysteresis():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0, hysteresis=0.1, uncertain_below=0.6))
    table = [(0.59, "uncertain"), (0.6, "ok"), (0.51, "ok"), (0.49, "uncertain"), (0.59, "uncertain"), (0.6, "ok")]
    for stamp, (confidence, state) in enumerate(table):
        assert smooth.update(_prediction({"fear": confidence}), stamp).state == state


def test_a_bad_image_holds_the_last_good_estimate():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=0.3))
    good = smooth.update(HAPPY, 0.0)
    bad = smooth.update(_prediction({"sadness": 0.88}, state="low_quality"), 5.0)
    assert bad.state == "low_quality"
    assert (bad.expression, bad.probabilities, bad.action_units) == ("happiness", good.probabilities, good.action_units)
    assert smooth.update(HAPPY, 5.1).expression == "happiness"


def test_a_face_that_was_never_good_comes_as_it_is():
    face = _prediction({"sadness": 0.88}, state="low_quality")
    assert TemporalFilter().update(face, 0.0) is face


@pytest.mark.parametrize(
    ("second_s", "happiness"),
    [(100.0, 0.88), (99.8, 0.88), (99.5, 0.88), (99.25, 0.02), (1.0, 0.02)],
    ids=["the same stamp", "out of order", "by just the tolerance", "by more", "a bag that starts over"],
)
def test_time_that_stands_still_is_no_step_and_time_that_starts_over_begins_anew(second_s, happiness):
    smooth = TemporalFilter()
    smooth.update(HAPPY, 100.0)
    assert smooth.update(SAD, second_s).probabilities["happiness"] == pytest.approx(happiness)


def test_a_step_back_does_not_stretch_the_next_step():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=1.0))
    smooth.update(HAPPY, 100.0)
    smooth.update(HAPPY, 99.6)
    assert smooth.update(SAD, 100.0).action_units[1] == 1.0


def test_faces_do_not_mix_and_can_be_forgotten():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=10))
    smooth.update(HAPPY, 0.0)
    other = _prediction({"sadness": 0.88}, face_id="g1")
    assert smooth.update(other, 0.1).expression == "sadness"
    smooth.forget(["f1", "nobody"])
    assert smooth.update(SAD, 0.2).expression == "sadness"
    assert smooth.update(_prediction({"fear": 0.9}, face_id="g1"), 0.3).expression == "sadness"


def test_another_config_is_used_from_the_next_image_on():
    smooth = TemporalFilter(TemporalConfig(smoothing_s=10))
    smooth.update(HAPPY, 0.0)
    assert smooth.update(SAD, 0.1).expression == "happiness"
    smooth.config = TemporalConfig(smoothing_s=0)
    assert smooth.update(SAD, 0.2).expression == "sadness"


@pytest.mark.parametrize(
    ("name", "value"), [("smoothing_s", -0.1), ("smoothing_s", math.inf), ("hysteresis", 1.1), ("uncertain_below", -1)]
)
def test_settings_are_checked(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        TemporalConfig(**{name: value})


def test_the_ends_of_the_ranges_are_settings_too_and_a_config_cannot_be_changed():
    TemporalConfig(0.0, 0.0, 0.0)
    config = TemporalConfig(9.0, 1.0, 1.0)
    with pytest.raises(FrozenInstanceError):
        config.hysteresis = 2.0


@pytest.mark.parametrize("tolerance_s", [-0.1, math.inf, math.nan])
def test_the_tolerance_is_checked(tolerance_s):
    TemporalFilter(tolerance_s=0.0)
    with pytest.raises(ConfigError, match="tolerance_s must be at least 0"):
        TemporalFilter(tolerance_s=tolerance_s)


def test_a_stamp_that_is_not_finite_is_refused():
    with pytest.raises(ConfigError, match="stamp_s must be finite"):
        TemporalFilter().update(HAPPY, math.nan)
