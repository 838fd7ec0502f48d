"""The node without its middleware: real photographs in, observations out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core import facs
from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.errors import ImageError
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.calibrations import SILENT_S
from aue_crl_ros.session.readings import EventPhase, Observation, PendingFrame
from aue_crl_ros.session.session import REPEAT_COMPLAINT_S, Session

S = 1_000_000_000
REPEATABLE = Settings(background_search=False)
SETTINGS = replace(REPEATABLE, detect_every=4, min_event_s=0.1)


class _Counting:
    """The real engine, noting the size of every batch."""

    def __init__(self, engine) -> None:
        self._engine = engine
        self.batches: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def predict(self, crops, points):
        self.batches.append(len(crops))
        return self._engine.predict(crops, points)


class _Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


class _Bench:
    """A session with what its surroundings see of it."""

    def __init__(self, loaded: FaceAnalyzer, settings: Settings) -> None:
        self.engine = _Counting(loaded.engine)
        self.clock = _Clock()
        self.logged: list[tuple[str, str]] = []
        analyzer = FaceAnalyzer(self.engine, loaded.detector)
        self.session = Session(analyzer, settings, lambda level, text: self.logged.append((level, text)), self.clock)

    def show(self, image, stamp_s: float, camera: str = "/left", face_id: str = "") -> list[Observation]:
        self.session.offer(_frame(image, stamp_s, camera, face_id))
        return self.session.step(0)


def _frame(image, stamp_s: float, camera: str = "/left", face_id: str = "", header: object = None) -> PendingFrame:
    decode: Callable[[], np.ndarray] = image if callable(image) else lambda: image
    return PendingFrame(camera, header, round(stamp_s * S), decode, face_id)


@pytest.fixture(scope="module")
def loaded() -> FaceAnalyzer:
    return FaceAnalyzer.load("edge", detector="cascade", threads=1)


@pytest.fixture
def bench(loaded) -> _Bench:
    return _Bench(loaded, SETTINGS)


@pytest.fixture(scope="module")
def face_crop(loaded, photograph) -> np.ndarray:
    (face,) = loaded(photograph)
    x, y, w, h = (int(v) for v in face.box.as_list())
    return np.ascontiguousarray(photograph[max(0, y - h // 5) : y + h, max(0, x - w // 10) : x + w + w // 10])


@pytest.fixture(scope="module")
def empty() -> np.ndarray:
    rows, columns = np.mgrid[0:240, 0:320]
    return np.dstack([rows, columns * 255 // 320, rows // 4 + 40]).astype(np.uint8)


def _broken() -> np.ndarray:
    raise ImageError("half a JPEG")


def test_an_image_gives_an_observation_with_its_own_header(bench, photograph):
    header = object()
    bench.session.offer(_frame(photograph, 10.0, header=header))
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
    bench.session.offer(_frame(photograph, 10.0, "/left"))
    bench.session.offer(_frame(canvas, 77.0, "/right"))
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
        bench.session.offer(_frame(empty, i, "/right"))
    for i in range(3):
        bench.session.offer(_frame(photograph, i, "/left"))
    seen = {o.camera: o for o in bench.session.step(0)}
    assert (seen["/left"].stamp_ns, seen["/left"].dropped) == (2 * S, 2)
    assert (seen["/right"].stamp_ns, seen["/right"].dropped) == (4 * S, 4)
    read = bench.session.statistics.snapshot()["/right"]
    assert (read.received, read.processed, read.dropped) == (5, 1, 4)
    assert bench.session.step(0) == []


def test_dropped_images_are_never_decoded(bench, empty):
    bench.session.offer(_frame(_broken, 1.0))
    bench.session.offer(_frame(empty, 2.0))
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


def test_an_image_that_cannot_be_decoded_is_reported_and_the_others_go_on(bench, photograph):
    bench.session.offer(_frame(_broken, 10.0, "/broken"))
    bench.session.offer(_frame(photograph, 10.0, "/left"))
    assert [o.camera for o in bench.session.step(0)] == ["/left"]
    assert bench.logged == [("warn", "/broken: an image could not be used: half a JPEG")]
    assert bench.session.statistics.snapshot()["/broken"].failed == 1


def test_an_array_that_is_no_image_is_such_an_image_too(bench):
    assert bench.show(np.zeros((4, 4, 2), np.uint8), 1.0) == []
    assert "an image must be" in bench.logged[0][1]


def test_complaints_repeat_with_their_count_but_not_with_every_image(bench):
    for i in range(10):
        bench.show(_broken, i)
        bench.clock.now_s += 0.1
    assert len(bench.logged) == 1
    bench.clock.now_s += REPEAT_COMPLAINT_S
    bench.show(_broken, 11)
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


def test_faces_that_another_detector_cut_out_are_read_under_its_ids_in_one_batch(bench, face_crop, raf_images):
    for name, crop in (("abcde", face_crop), ("fghij", cv2.resize(face_crop, (120, 140)))):
        bench.session.offer(_frame(crop, 10.0, "/crops", name))
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


def _calibrate(bench: _Bench, image, face_id: str, start_s: float, duration_s: float = 0.5):
    answer = bench.session.calibrate(face_id, duration_s)
    for i in range(30):
        if answer.done():
            break
        bench.show(image, start_s + i * 0.1)
    return answer.result(timeout=0)


UNSMOOTHED = {"smoothing_s": 0.0, "hysteresis": 0.0, "uncertain_below": 0.0}


def test_a_learned_neutral_face_is_in_force_until_it_is_forgotten(bench, photograph):
    """The portrait's slight smile is read as disgust or happiness, neither by far: so may a resting face be."""
    bench.session.update(replace(REPEATABLE, **UNSMOOTHED))
    before = bench.show(photograph, 10.0)[0].faces[0].prediction
    assert before.expression != "neutral"
    result = _calibrate(bench, photograph, "f1", 10.1)
    assert (result.success, result.frames) == (True, 6)
    assert "at rest it looked most like" in result.message
    assert not bench.session.calibrating
    (after,) = bench.show(photograph, 11.0)[0].faces
    assert after.calibrated
    assert after.prediction.expression == "neutral"
    assert sum(after.prediction.action_units.values()) < 0.2 * sum(before.action_units.values())
    bench.session.update(replace(REPEATABLE, **UNSMOOTHED, use_neutral=False))
    (unused,) = bench.show(photograph, 11.1)[0].faces
    assert not unused.calibrated
    assert unused.prediction.expression != "neutral"
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


def test_after_a_reset_nothing_is_left(bench, photograph):
    for i in range(4):
        bench.show(photograph, 10 + i / 10)
    bench.session.offer(_frame(photograph, 10.4))
    bench.session.reset()
    assert bench.session.step(0) == []
    assert bench.session.statistics.snapshot() == {}
    (seen,) = bench.show(photograph, 10.5)
    assert (seen.dropped, seen.ended_ids, seen.events) == (0, (), ())
    assert seen.live_ids != ("f1",)
    assert not bench.session.calibrate("f1", 1.0).result(timeout=0).success


def test_closing_wakes_the_worker(bench, photograph):
    seen = []
    worker = threading.Thread(target=lambda: seen.append(bench.session.step(60)))
    worker.start()
    bench.session.close()
    worker.join(20)
    assert seen == [[]]
    bench.session.offer(_frame(photograph, 1.0))
    assert bench.session.step(0) == []


def test_a_fast_camera_never_makes_a_queue(bench, empty):
    """A producer that is done before the consumer has read twice: what was not read is counted, not kept."""
    offered = 200
    release, observations = threading.Event(), []

    def slow() -> np.ndarray:
        release.wait(30)
        return empty

    worker = threading.Thread(target=lambda: observations.extend(bench.session.step(30)))
    bench.session.offer(_frame(slow, 0.0))
    worker.start()
    for i in range(1, offered):
        bench.session.offer(_frame(empty, float(i)))
    release.set()
    worker.join(30)
    observations += bench.session.step(0)
    read = bench.session.statistics.snapshot()["/left"]
    assert observations[-1].stamp_ns == (offered - 1) * S
    assert len(observations) <= 2
    assert (read.received, read.processed + read.dropped) == (offered, offered)
    assert observations[-1].dropped == read.dropped


def test_any_thread_may_ask_anything_while_images_are_read(bench, photograph):
    """Nothing is asserted of the order; nobody fails, and everybody is answered."""
    answers, failures, done = [], [], threading.Event()

    def ask() -> None:
        for i in range(40):
            bench.session.update(replace(REPEATABLE, max_faces=1 + i % 3))
            answers.append(bench.session.calibrate("f1", 0.2))
            bench.session.forget_neutral("")
            bench.session.statistics.snapshot()

    def offer() -> None:
        i = 0
        while not done.is_set():
            i += 1
            bench.session.offer(_frame(photograph, 10 + i / 1000))
            done.wait(0.002)

    def work() -> None:
        try:
            while not done.is_set():
                bench.session.step(0.01)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=target) for target in (work, offer)]
    askers = [threading.Thread(target=ask) for _ in range(2)]
    for thread in (*threads, *askers):
        thread.start()
    for thread in askers:
        thread.join(60)
    bench.session.reset()
    done.set()
    for thread in threads:
        thread.join(60)
    bench.session.close()
    assert failures == []
    assert len(answers) == 80
    assert all(answer.result(timeout=1).message for answer in answers)
