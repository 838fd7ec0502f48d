"""The node without its middleware: real photographs in, observations out."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from session_bench import REPEATABLE, SETTINGS, S, broken, frame

from aue_crl_core import facs
from aue_crl_core.dynamics.readings import EventPhase
from aue_crl_ros.messages import damage
from aue_crl_ros.messages.image_decoding import pending_frame
from aue_crl_ros.session.session import REPEAT_COMPLAINT_S


def test_an_image_gives_an_observation_with_its_own_header(bench, photograph):
    header = object()
    bench.session.offer(frame(photograph, 10.0, header=header))
    (seen,) = bench.session.step(0)
    assert seen.header is header
    assert (seen.camera, seen.stamp_ns, seen.face_id, seen.dropped) == ("/left", 10 * S, "", 0)
    np.testing.assert_array_equal(seen.image, photograph)
    (face,) = seen.faces
    assert seen.live_ids == (face.prediction.face_id,)
    assert face.visible == frozenset(facs.ACTION_UNITS)
    assert not face.calibrated
    assert np.linalg.norm(face.prediction.landmarks[36:42].mean(axis=0) - (223, 176)) < 25


def test_without_an_image_there_is_nothing(bench):
    assert bench.session.step(0) == []
    assert bench.session.statistics.snapshot() == {}


def test_an_image_without_a_face_is_an_observation_too(bench, empty):
    (seen,) = bench.show(empty, 10.0)
    assert seen.faces == seen.events == seen.live_ids == ()
    assert bench.session.statistics.snapshot()["/left"].processed == 1


def test_two_cameras_share_one_batch_and_no_id(bench, photograph, raf_images):
    canvas = np.full((480, 960, 3), 96, np.uint8)
    for i, image in enumerate(raf_images[:2]):
        canvas[60:420, 60 + 440 * i : 420 + 440 * i] = cv2.resize(image, (360, 360))
    bench.session.offer(frame(photograph, 10.0, "/left"))
    bench.session.offer(frame(canvas, 77.0, "/right"))
    seen = {o.camera: o for o in bench.session.step(0)}
    left, right = seen["/left"].faces, seen["/right"].faces
    assert len(left) == 1
    assert len(right) >= 1
    assert bench.engine.batches == [len(left) + len(right)]
    ids = [face.prediction.face_id for face in (*left, *right)]
    assert len(set(ids)) == len(ids)
    assert bench.session.statistics.snapshot()["/right"].faces == len(right)


def test_the_newest_image_counts_and_the_others_are_dropped_and_counted(bench, photograph, empty):
    for i in range(5):
        bench.session.offer(frame(empty, i, "/right"))
    for i in range(3):
        bench.session.offer(frame(photograph, i, "/left"))
    seen = {o.camera: o for o in bench.session.step(0)}
    assert (seen["/left"].stamp_ns, seen["/left"].dropped) == (2 * S, 2)
    assert (seen["/right"].stamp_ns, seen["/right"].dropped) == (4 * S, 4)
    read = bench.session.statistics.snapshot()["/right"]
    assert (read.received, read.processed, read.dropped) == (5, 1, 4)
    assert bench.session.step(0) == []


def test_dropped_images_are_never_decoded(bench, empty):
    bench.session.offer(frame(broken, 1.0))
    bench.session.offer(frame(empty, 2.0))
    assert len(bench.session.step(0)) == 1
    assert bench.logged == []


def test_a_face_keeps_its_id_and_its_smoothed_reading(bench, loaded, photograph):
    bench.session.update(replace(REPEATABLE, detect_every=4, smoothing_s=10.0))
    first = bench.show(photograph, 10.0)[0].faces[0].prediction
    darker = (photograph * 0.5).astype(np.uint8)
    second = bench.show(darker, 10.05)[0].faces[0].prediction
    assert second.face_id == first.face_id
    for name, p in first.probabilities.items():
        assert second.probabilities[name] == pytest.approx(p, abs=0.006)
    (raw,) = loaded(darker)
    assert max(abs(raw.probabilities[n] - first.probabilities[n]) for n in first.probabilities) > 0.006


def test_a_colour_picture_under_a_bayer_format_is_counted_and_logged(bench):
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0)),
        format="bayer_rggb8; x",
        data=b"PF\n3 3\n-1\n" + bytes(108),
    )
    bench.session.offer(pending_frame(message, "/left", compressed=True))
    assert bench.session.step(0) == []
    assert bench.session.statistics.snapshot()["/left"].failed == 1
    assert [level for level, _ in bench.logged] == ["warn"]


def test_an_image_that_cannot_be_decoded_is_reported_and_the_others_go_on(bench, photograph):
    bench.session.offer(frame(broken, 10.0, "/broken"))
    bench.session.offer(frame(photograph, 10.0, "/left"))
    assert [o.camera for o in bench.session.step(0)] == ["/left"]
    assert bench.logged == [("warn", "/broken: an image could not be used: half a JPEG")]
    assert bench.session.statistics.snapshot()["/broken"].failed == 1


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux's files in memory")
def test_a_damaged_jpeg_is_read_as_far_as_it_goes_counted_and_told_once(bench, photograph, monkeypatch):
    monkeypatch.setattr(damage, "_held", [os.memfd_create("what decoders say")])
    data = bytearray(cv2.imencode(".jpg", photograph[..., ::-1])[1].tobytes())
    data[-4000:-3900] = bytes(100)  # near the image's end
    stamp = SimpleNamespace(sec=1, nanosec=0)
    message = SimpleNamespace(header=SimpleNamespace(stamp=stamp), format="jpeg", data=bytes(data))
    for _ in range(3):
        stamp.sec += 1
        bench.session.offer(pending_frame(message, "/left", compressed=True))
        assert len(bench.session.step(0)[0].faces) == 1
    seen = bench.session.statistics.snapshot()["/left"]
    assert (seen.damaged, seen.processed, seen.failed) == (3, 3, 0)
    ((level, text),) = bench.logged
    assert level == "warn"
    assert text.startswith("/left: an image is damaged, and was read as far as it goes: Corrupt JPEG data")


def test_an_array_that_is_no_image_is_such_an_image_too(bench):
    assert bench.show(np.zeros((4, 4, 2), np.uint8), 1.0) == []
    assert "an image must be" in bench.logged[0][1]


def test_complaints_repeat_with_their_count_but_not_with_every_image(bench):
    for i in range(10):
        bench.show(broken, i)
        bench.clock.now_s += 0.1
    assert len(bench.logged) == 1
    bench.clock.now_s += REPEAT_COMPLAINT_S
    bench.show(broken, 11)
    assert len(bench.logged) == 2
    assert "(10 since the last such message)" in bench.logged[1][1]
    assert bench.session.statistics.snapshot()["/left"].failed == 11


def test_a_lasting_expression_begins_and_ends_with_the_face(bench, photograph, empty):
    bench.session.update(replace(REPEATABLE, detect_every=4, min_event_s=0.1, uncertain_below=0.0))
    told = [e for i in range(4) for e in bench.show(photograph, 10 + i / 20)[0].events]
    face_id = bench.show(photograph, 10.2)[0].faces[0].prediction.face_id
    began = [e for e in told if e.expression]
    assert [(e.face_id, e.phase, e.began_ns) for e in began] == [(face_id, EventPhase.BEGAN, 10 * S)]
    for i in range(1, 4):
        (seen,) = bench.show(empty, 10.2 + i * 0.6)
        if seen.ended_ids:
            break
    assert (seen.ended_ids, seen.live_ids) == ((face_id,), ())
    assert (face_id, began[0].expression, EventPhase.ENDED) in [(e.face_id, e.expression, e.phase) for e in seen.events]


def test_time_that_starts_over_ends_the_tracks(bench, photograph):
    before = bench.show(photograph, 100.0)[0].faces[0].prediction.face_id
    (seen,) = bench.show(photograph, 3.0)
    assert seen.ended_ids == (before,)
    assert seen.faces[0].prediction.face_id != before


def test_images_without_a_stamp_go_by_the_time_of_reading(bench, photograph, empty):
    (seen,) = bench.show(photograph, 0)
    assert seen.stamp_ns == 0
    bench.clock.now_s += SETTINGS.lost_after_s + 1
    assert bench.show(empty, 0)[0].ended_ids == seen.live_ids


def test_settings_change_live(bench, photograph):
    assert bench.show(photograph, 10.0)[0].faces[0].prediction.state != "low_quality"
    bench.session.update(replace(REPEATABLE, min_face_px=2000))
    (seen,) = bench.show(photograph, 10.1)
    assert seen.faces[0].prediction.state == "low_quality"
    assert seen.faces[0].prediction.face_id == seen.live_ids[0] == "f1"


def test_after_a_reset_nothing_is_left(bench, photograph):
    for i in range(4):
        bench.show(photograph, 10 + i / 10)
    bench.session.offer(frame(photograph, 10.4))
    bench.session.reset()
    assert bench.session.step(0) == []
    assert bench.session.statistics.snapshot() == {}
    (seen,) = bench.show(photograph, 10.5)
    assert (seen.dropped, seen.ended_ids, seen.events) == (0, (), ())
    assert seen.live_ids != ("f1",)
    assert not bench.session.calibrate("f1", 1.0).result(timeout=0).success
