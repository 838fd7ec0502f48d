"""Faces that another detector cut out: read under its ids, for as long as they come."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest

pytest.importorskip("onnxruntime")

from session_bench import REPEATABLE, frame

from aue_crl_core.dynamics.readings import EventPhase


def test_faces_that_another_detector_cut_out_are_read_under_its_ids_in_one_batch(bench, face_crop, raf_images):
    for name, crop in (("abcde", face_crop), ("fghij", cv2.resize(face_crop, (120, 140)))):
        bench.session.offer(frame(crop, 10.0, "/crops", name))
    seen = bench.session.step(0)
    assert bench.engine.batches == [2]
    assert [(o.face_id, o.faces[0].prediction.face_id) for o in seen] == [("abcde", "abcde"), ("fghij", "fghij")]
    assert all(o.live_ids == ("abcde", "fghij") for o in seen)
    height, width = face_crop.shape[:2]
    assert (seen[0].faces[0].prediction.landmarks[27:48] > 0).all()
    assert (seen[0].faces[0].prediction.landmarks[27:48] < (width, height)).all()


def test_a_crop_without_a_face_gives_none(bench, empty):
    (seen,) = bench.show(empty, 10.0, "/crops", "abcde")
    assert seen.faces == ()
    assert seen.live_ids == ("abcde",)


def test_crops_that_stop_coming_end_their_face(bench, face_crop):
    bench.show(face_crop, 10.0, "/crops", "gone")
    bench.show(face_crop, 10.2, "/crops", "gone")
    assert bench.show(face_crop, 10.9, "/crops", "here")[0].ended_ids == ()
    (seen,) = bench.show(face_crop, 12.0, "/crops", "here")
    assert (seen.ended_ids, seen.live_ids) == (("gone",), ("here",))
    assert {e.face_id for e in seen.events if e.phase is EventPhase.ENDED} <= {"gone"}


def test_a_face_that_has_ended_starts_afresh_under_the_same_id(bench, face_crop):
    """Ids of another detector may come back; what was smoothed before does not."""
    bench.session.update(replace(REPEATABLE, smoothing_s=10.0))
    mirrored = cv2.flip(cv2.GaussianBlur(face_crop, (0, 0), 3), 1)
    bench.show(face_crop, 10.0, "/crops", "back")
    bench.show(face_crop, 12.0, "/crops", "other")
    (again,) = bench.show(mirrored, 12.1, "/crops", "back")
    fresh = bench.show(mirrored, 12.1, "/crops", "new")[0].faces[0].prediction
    assert again.faces[0].prediction.probabilities == pytest.approx(fresh.probabilities, abs=1e-6)
