"""Neutral faces: what is learned of whom and when, for how long, and that whoever asked is answered."""

from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from session_bench import REPEATABLE, Bench

from aue_crl_core.dynamics.neutral import UNITS_AT_REST
from aue_crl_ros.session.calibrations import SILENT_S
from aue_crl_ros.session.session import Session


def _calibrate(bench: Bench, image, face_id: str, start_s: float, duration_s: float = 0.5):
    answer = bench.session.calibrate(face_id, duration_s)
    for i in range(30):
        if answer.done():
            break
        bench.show(image, start_s + i * 0.1)
    return answer.result(timeout=0)


UNSMOOTHED = {"smoothing_s": 0.0, "hysteresis": 0.0, "uncertain_below": 0.0}


def test_a_learned_neutral_face_is_in_force_until_it_is_forgotten(bench, photograph):
    """The portrait made wide is read as happiness, though not by far: so may somebody's resting face be."""
    photograph = cv2.resize(photograph, (320, 230), interpolation=cv2.INTER_AREA)
    bench.session.update(replace(REPEATABLE, **UNSMOOTHED))
    before = bench.show(photograph, 10.0)[0].faces[0].prediction
    assert before.expression != "neutral"
    result = _calibrate(bench, photograph, "f1", 10.1)
    assert (result.success, result.frames) == (True, 6)
    assert "at rest it looked most like" in result.message
    named = {int(code) for code in re.findall(r"AU(\d+)", result.message)}
    rare = {unit for unit, p in before.action_units.items() if p > 0.3} - set(UNITS_AT_REST)
    assert rare
    assert rare <= named
    assert not {unit for unit, p in before.action_units.items() if p < 0.15} & named
    assert not bench.session.calibrating
    (after,) = bench.show(photograph, 11.0)[0].faces
    assert after.calibrated
    assert after.prediction.expression == "neutral"
    flat = [unit for unit, probability in before.action_units.items() if 0.1 < probability < 0.9]
    assert len(flat) >= 3
    assert sum(after.prediction.action_units[u] for u in flat) < 0.5 * sum(before.action_units[u] for u in flat)
    bench.session.update(replace(REPEATABLE, **UNSMOOTHED, use_neutral=False))
    (unused,) = bench.show(photograph, 11.1)[0].faces
    assert not unused.calibrated
    assert sum(unused.prediction.action_units.values()) > 0.5 * sum(before.action_units.values())
    assert bench.session.forget_neutral("nobody") == ()
    assert bench.session.forget_neutral("") == ("f1",)
    assert bench.session.forget_neutral("") == ()


def test_a_face_that_clearly_expresses_something_is_not_learned_as_neutral(bench, loaded, raf_images):
    clear = [i for i in raf_images for f in loaded(i)[:1] if f.expression != "neutral" and f.confidence > 0.95]
    before = bench.show(clear[0], 10.0)[0].faces[0].prediction
    result = _calibrate(bench, clear[0], before.face_id, 10.1)
    assert not result.success
    assert "too expressive" in result.message
    assert bench.show(clear[0], 11.0)[0].faces[0].prediction.expression == before.expression


def test_images_of_low_quality_teach_no_neutral_face(bench, photograph):
    bench.show(photograph, 10.0)
    bench.session.update(replace(REPEATABLE, min_sharpness=10_000))
    result = _calibrate(bench, photograph, "f1", 10.1)
    assert (result.success, result.frames) == (False, 0)
    assert "only 0 images" in result.message


@pytest.mark.parametrize(
    ("face_id", "duration_s", "message"),
    [("f9", 1.0, "no face 'f9' is followed; those that are: f1"), ("f1", 31.0, "0, 30"), ("f1", -1.0, "got -1")],
)
def test_a_calibration_that_cannot_be_is_answered_at_once(bench, photograph, face_id, duration_s, message):
    bench.show(photograph, 10.0)
    result = bench.session.calibrate(face_id, duration_s).result(timeout=0)
    assert not result.success
    assert message in result.message


def test_a_face_is_calibrated_once_at_a_time(bench, photograph):
    bench.show(photograph, 10.0)
    first = bench.session.calibrate("f1", 0)
    assert "already" in bench.session.calibrate("f1", 0).result(timeout=0).message
    assert not first.done()
    assert bench.session.calibrating
    for stamp in (10.1, 10.8, 11.5):
        bench.show(photograph, stamp)
    assert not first.done()
    bench.show(photograph, 11.7)
    assert first.result(timeout=0).frames == 4


def test_without_an_id_the_largest_face_is_calibrated(bench, photograph, empty):
    answer = bench.session.calibrate("", 0.3)
    assert "the largest face is being calibrated already" in bench.session.calibrate("", 0).result(timeout=0).message
    small = cv2.resize(photograph, (256, 300), interpolation=cv2.INTER_AREA)
    both = np.hstack([np.vstack([small, np.zeros_like(small)]), photograph])
    bench.show(empty, 10.0)
    for stamp in (10.1, 10.2, 10.3, 10.4, 10.5):
        (seen,) = bench.show(both, stamp)
    largest = max(seen.faces, key=lambda face: face.prediction.box.w)
    assert len(seen.faces) == 2
    assert answer.result(timeout=0).success
    assert answer.result().face_id == largest.prediction.face_id
    assert largest.calibrated
    assert [face.calibrated for face in seen.faces].count(True) == 1


def test_the_largest_face_is_not_calibrated_twice_and_no_smaller_one_in_its_place(bench, photograph):
    small = cv2.resize(photograph, (256, 300), interpolation=cv2.INTER_AREA)
    both = np.hstack([np.vstack([small, np.zeros_like(small)]), photograph])
    (seen,) = bench.show(both, 10.0)
    largest = max((face.prediction for face in seen.faces), key=lambda face: face.box.w)
    by_id, by_size = bench.session.calibrate(largest.face_id, 1.0), bench.session.calibrate("", 1.0)
    bench.show(both, 10.1)
    assert not by_size.result(timeout=0).success
    assert f"{largest.face_id}, is being calibrated already" in by_size.result().message
    assert not by_id.done()


def test_a_calibration_of_the_largest_face_fails_where_there_is_none(bench, empty):
    answer = bench.session.calibrate("", 1.0)
    bench.show(empty, 10.0)
    bench.clock.now_s += SILENT_S + 0.1
    bench.session.step(0)
    assert "a face that can be read was in no image" in answer.result(timeout=0).message


def test_a_calibration_ends_with_its_face(bench, photograph, empty):
    bench.show(photograph, 10.0)
    answer = bench.session.calibrate("f1", 5.0)
    bench.show(photograph, 10.1)
    for stamp in (10.7, 11.3, 11.9):
        bench.show(empty, stamp)
    assert not answer.result(timeout=0).success
    assert "f1 was lost" in answer.result().message


def test_a_calibration_without_images_fails(bench, photograph):
    bench.show(photograph, 10.0)
    answer = bench.session.calibrate("f1", 1.0)
    bench.clock.now_s += SILENT_S - 0.1
    bench.session.step(0)
    assert not answer.done()
    bench.clock.now_s += 0.2
    bench.session.step(0)
    assert "in no image" in answer.result(timeout=0).message


def test_a_learned_face_is_forgotten_with_its_id(bench, photograph, empty):
    bench.show(photograph, 10.0)
    assert _calibrate(bench, photograph, "f1", 10.1).success
    for stamp in (11.5, 12.1, 12.7):
        bench.show(empty, stamp)
    assert bench.session.forget_neutral("") == ()


@pytest.mark.parametrize("end", [Session.reset, Session.close])
def test_whoever_waits_for_a_calibration_is_answered_at_the_end(bench, photograph, end):
    bench.show(photograph, 10.0)
    answer = bench.session.calibrate("f1", 1.0)
    end(bench.session)
    assert not answer.result(timeout=0).success
    assert not bench.session.calibrating
