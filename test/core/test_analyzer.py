"""From images to predictions, on real photographs. What the expression is, is a matter for the evaluation."""

from __future__ import annotations

import dataclasses
import json
import threading
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core import facs
from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.errors import ConfigError, ImageError
from aue_crl_core.types import FaceBox, FacePrediction, Frame


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return FaceAnalyzer.load("edge", detector="cascade", threads=1)


@pytest.fixture
def tracking(analyzer) -> FaceAnalyzer:
    """The same networks without memory of earlier tests."""
    return FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(detect_every=4, max_faces=3))


@pytest.fixture(scope="module")
def hopper(analyzer, photograph) -> FacePrediction:
    (face,) = analyzer(photograph)
    return face


@pytest.fixture(scope="module")
def pan(photograph) -> list[np.ndarray]:
    """Twelve views 400 px wide, each 8 px further right in the portrait."""
    return [np.ascontiguousarray(photograph[:, 8 * i : 8 * i + 400]) for i in range(12)]


@pytest.fixture(scope="module")
def empty() -> np.ndarray:
    """A view without a face: a soft gradient."""
    rows, columns = np.mgrid[0:600, 0:400]
    return np.dstack([rows * 255 // 600, columns * 255 // 400, rows // 4 + 40]).astype(np.uint8)


def _same(one: FacePrediction, other: FacePrediction) -> None:
    assert (one.face_id, one.state) == (other.face_id, other.state)
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.05)
    for name in ("probabilities", "action_units", "attention"):
        a, b = getattr(one, name), getattr(other, name)
        assert list(a) == list(b)
        np.testing.assert_allclose(list(a.values()), list(b.values()), atol=1e-4)


def test_the_face_of_a_portrait_is_found_where_it_is(hopper):
    assert hopper.face_id == "f1"
    right, left = hopper.landmarks[36:42].mean(axis=0), hopper.landmarks[42:48].mean(axis=0)
    assert np.linalg.norm(right - (223, 176)) < 25
    assert np.linalg.norm(left - (309, 176)) < 25
    assert hopper.quality.face_score > 0.7
    assert hopper.state != "low_quality"


def test_a_prediction_keeps_its_promises(hopper):
    assert list(hopper.probabilities) == list(facs.BASIC_EXPRESSIONS)
    assert sum(hopper.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert hopper.confidence == max(hopper.probabilities.values()) == hopper.probabilities[hopper.expression]
    assert list(hopper.action_units) == list(hopper.attention) == list(facs.ACTION_UNITS)
    assert all(0 <= p <= 1 for p in hopper.action_units.values())
    assert sum(hopper.attention.values()) == pytest.approx(1, abs=1e-5)
    assert hopper.landmarks.shape == (68, 2)
    assert hopper.landmarks.dtype == np.float32


def test_the_record_is_json_as_it_stands(hopper, photograph):
    record = json.loads(json.dumps(hopper.as_record(Frame(photograph, "hopper.jpg", 3, 0.12))))
    assert (record["source"], record["frame"], record["time_s"], record["face_id"]) == ("hopper.jpg", 3, 0.12, "f1")
    assert np.shape(record["landmarks"]) == (68, 2)
    assert record["state"] in ("ok", "uncertain", "low_quality")


def test_most_photographs_have_a_face_with_its_points_in_its_box(analyzer, raf_images):
    found = [analyzer(image) for image in raf_images]
    assert sum(map(bool, found)) >= len(raf_images) - 2
    for face in (face for faces in found for face in faces):
        x, y, w, h = face.box.as_list()
        low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
        assert (low >= np.array((x, y)) - 1e-2).all()
        assert (high <= np.array((x + w, y + h)) + 1e-2).all()


def test_several_faces_are_given_largest_first_and_no_more_than_asked_for(analyzer, photograph):
    small = cv2.resize(photograph, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((600, 800, 3), np.uint8)
    canvas[:300, :256], canvas[:, 288:] = small, photograph
    faces = analyzer(canvas)
    assert [f.face_id for f in faces] == ["f1", "f2"]
    assert faces[0].box.x > 288 > faces[1].box.x
    one = FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(max_faces=1))
    assert [f.box.x > 288 for f in one(canvas)] == [True]


def test_images_without_a_face_give_none(analyzer, empty):
    for image in (empty, np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8)):
        assert analyzer(image) == []


def test_a_batch_of_frames_gives_what_each_alone_gives(analyzer, photograph, raf_images, empty):
    images = [photograph, *raf_images[:4], empty]
    together = analyzer.process([Frame(image) for image in images])
    assert together[-1] == []
    for image, faces in zip(images, together, strict=True):
        alone = analyzer(image)
        assert len(alone) == len(faces)
        for a, b in zip(alone, faces, strict=True):
            _same(a, b)


def test_no_frames_are_no_faces(analyzer):
    assert analyzer.process([]) == []
    assert analyzer.find([]) == []
    assert analyzer.in_boxes([], []) == []


def test_sixteen_bits_floats_and_alpha_show_the_same_face(analyzer, hopper, photograph):
    alpha = np.dstack([photograph, np.full(photograph.shape[:2], 128, np.uint8)])
    for image in (photograph.astype(np.uint16) * 257, photograph.astype(np.float64) / 255, alpha):
        (face,) = analyzer(image)
        _same(face, hopper)


def test_a_grey_image_has_the_same_face_with_or_without_its_third_dimension(analyzer, hopper, photograph):
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    (flat,), (deep,) = analyzer(grey), analyzer(grey[..., None])
    _same(flat, deep)
    assert flat.box.iou(hopper.box) > 0.9


def test_a_flipped_view_of_memory_is_taken_as_it_looks(analyzer, photograph):
    view = photograph[:, ::-1]
    (ours,), (copied,) = analyzer(view), analyzer(view.copy())
    _same(ours, copied)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (11, 11, 3)])
@pytest.mark.parametrize("detector", ["cascade", "none"])
def test_tiny_images_do_no_harm(analyzer, shape, detector):
    own = FaceAnalyzer.load("edge", detector=detector, threads=1)
    assert isinstance(own(np.full(shape, 128, np.uint8)), list)


def test_a_hundred_megapixels(analyzer, photograph):
    image = cv2.resize(photograph, (9240, 10828), interpolation=cv2.INTER_LINEAR)
    (face,) = analyzer(image)
    (small,) = analyzer(photograph)
    assert image.shape[0] * image.shape[1] > 100e6
    scale = 9240 / photograph.shape[1]
    difference = np.linalg.norm((face.landmarks + 0.5) / scale - 0.5 - small.landmarks, axis=1).mean()
    assert difference < 3


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5, 2), np.uint8), np.zeros((3, 8, 9)), np.full((9, 9, 3), np.nan)],
)
def test_an_array_that_is_no_image_is_refused_everywhere(analyzer, array):
    for use in (
        lambda: analyzer(array),
        lambda: analyzer.process([Frame(array, camera="refused")]),
        lambda: analyzer.find([array]),
        lambda: analyzer.in_boxes([array], [FaceBox(0, 0, 5, 5)]),
    ):
        with pytest.raises(ImageError, match="image must"):
            use()


def test_in_a_given_box_a_face_is_never_rejected(analyzer, hopper, photograph, empty):
    outputs = analyzer.in_boxes(
        [photograph, empty, empty], [hopper.box, FaceBox(50, 50, 80, 80), FaceBox(-900, 0, 9, 9)]
    )
    assert len(outputs) == 3
    assert outputs[0].face.score > 0.7 > outputs[1].face.score
    assert outputs[0].face.box.iou(hopper.box) > 0.8
    for output in outputs:
        assert output.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert np.isfinite(output.face.points).all()


def test_a_box_that_is_not_finite_is_refused(analyzer, empty):
    with pytest.raises(ImageError, match="finite"):
        analyzer.in_boxes([empty], [FaceBox(np.nan, 0, 9, 9)])


def _ids(
    analyzer: FaceAnalyzer, images: list[np.ndarray], camera: str = "head", start_s: float = 0.0
) -> list[list[str]]:
    frames = [Frame(image, index=i, time_s=start_s + i / 15, camera=camera) for i, image in enumerate(images)]
    return [[face.face_id for face in analyzer.process([frame])[0]] for frame in frames]


def test_a_face_keeps_its_id_while_the_camera_pans(tracking, pan):
    assert _ids(tracking, pan) == [["f1"]] * len(pan)


def test_between_detections_the_points_follow_the_face(tracking, pan):
    for i, image in enumerate(pan):
        (followed,) = tracking.process([Frame(image, time_s=i / 15, camera="head")])[0]
        (found,) = tracking(image)
        assert followed.box.iou(found.box) > 0.85


class _Blinking:
    """A real detector that is only asked on the first frame: every later detection is missed."""

    name = "blinking"

    def __init__(self, detector) -> None:
        self._detector = detector
        self.asked = 0

    def __call__(self, image: np.ndarray) -> list[FaceBox]:
        self.asked += 1
        return self._detector(image) if self.asked == 1 else []


def test_missed_detections_do_not_end_a_track_that_its_points_still_follow(analyzer, pan):
    detector = _Blinking(analyzer.detector)
    blind = FaceAnalyzer(analyzer.engine, detector, AnalyzerConfig(detect_every=2))
    assert _ids(blind, pan) == [["f1"]] * len(pan)
    assert detector.asked > 3


class _Slow:
    """A detector that finds nothing before it may go on."""

    name = "slow"

    def __init__(self, detector) -> None:
        self._detector = detector
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.threads: list[str] = []

    def __call__(self, image):
        assert self.may_go_on.wait(10)
        self.threads.append(threading.current_thread().name)
        return self._detector(image)


def test_a_search_in_the_background_holds_up_no_frame_and_its_faces_come_later(analyzer, photograph):
    detector = _Slow(analyzer.detector)
    config = AnalyzerConfig(detect_every=2, background_search=True)
    live = FaceAnalyzer(analyzer.engine, detector, config)
    alone = np.hstack([photograph, np.zeros_like(photograph)])
    both = np.hstack([photograph, photograph[:, ::-1]])

    def ids(image, number):
        return sorted(face.face_id for face in live.process([Frame(image, time_s=number / 30, camera="c")])[0])

    assert ids(alone, 0) == ["f1"]  # nobody is followed yet, so the first search is not put off
    assert detector.threads == ["MainThread"]
    detector.may_go_on.clear()
    assert [ids(both, number) for number in range(1, 6)] == [["f1"]] * 5
    detector.may_go_on.set()
    number = 6
    while (seen := ids(both, number)) == ["f1"]:
        assert number < 300
        number += 1
        time.sleep(0.01)
    assert seen == ["f1", "f2"]
    assert "MainThread" not in detector.threads[1:]


def test_what_a_background_search_finds_is_dropped_with_its_tracks(analyzer, photograph, empty):
    detector = _Slow(analyzer.detector)
    live = FaceAnalyzer(analyzer.engine, detector, AnalyzerConfig(detect_every=1, background_search=True))
    live.process([Frame(photograph, time_s=0.0, camera="c")])
    detector.may_go_on.clear()
    live.process([Frame(photograph, time_s=0.1, camera="c")])
    live.forget()
    detector.may_go_on.set()
    assert live.process([Frame(empty, time_s=0.2, camera="c")]) == [[]]


def test_frames_without_the_face_are_empty_and_it_comes_back_under_its_id(tracking, pan, empty):
    assert _ids(tracking, [pan[0], pan[1], empty, empty, pan[2], pan[3]]) == [["f1"], ["f1"], [], [], ["f1"], ["f1"]]


def test_after_more_than_a_second_away_it_is_a_new_face(tracking, pan, empty):
    assert _ids(tracking, [pan[0], *[empty] * 17, pan[1]])[-1] == ["f2"]


def test_cameras_do_not_share_tracks_or_ids(tracking, pan):
    frames = [Frame(pan[0], camera="left"), Frame(pan[1], camera="right"), Frame(pan[2])]
    (left,), (right,), (alone,) = tracking.process(frames)
    assert left.face_id != right.face_id
    assert alone.face_id == "f1"
    (again,) = tracking.process([Frame(pan[1], camera="left", time_s=0.1)])[0]
    assert again.face_id == left.face_id


def test_tracks_that_are_forgotten_do_not_come_back(tracking, pan):
    before = _ids(tracking, pan[:2])
    tracking.forget("another")
    assert _ids(tracking, pan[2:4], start_s=0.2) == before
    tracking.forget("head")
    (after,) = tracking.process([Frame(pan[4], time_s=0.4, camera="head")])[0]
    assert after.landmarks.shape == (68, 2)


def test_a_camera_knows_who_is_followed_and_who_has_gone(tracking, pan, empty):
    assert tracking.live_ids("head") == tracking.ended_ids("head") == ()
    _ids(tracking, [pan[0], empty])
    assert tracking.live_ids("head") == ("f1",)
    assert tracking.ended_ids("head") == ()
    _ids(tracking, [empty], start_s=2.0)
    assert tracking.live_ids("head") == ()
    assert tracking.ended_ids("head") == ("f1",)
    assert tracking.live_ids("another") == ()


def test_other_limits_reach_the_cameras_that_are_followed_already(tracking, pan, empty):
    _ids(tracking, [pan[0]])
    tracking.reconfigure(dataclasses.replace(tracking.config, lost_after_s=10, min_face_px=1e4))
    _ids(tracking, [empty], start_s=5.0)
    (face,) = tracking.process([Frame(pan[1], time_s=6.0, camera="head")])[0]
    assert (face.face_id, face.state) == ("f1", "low_quality")


def test_crops_of_another_detector_are_read_in_one_batch_as_their_faces_are_in_the_image(
    analyzer, hopper, photograph, empty
):
    x, y, w, h = (round(v) for v in hopper.box.as_list())
    tight = photograph[y : y + h, x : x + w]
    wide = photograph[y - h // 4 : y + h + h // 8, x - w // 5 : x + w + w // 5]
    one, two, none = analyzer.in_crops([tight, wide, empty], ["a", "b", "c"])
    assert (one.face_id, two.face_id, none) == ("a", "b", None)
    for face, corner in ((one, (x, y)), (two, (x - w // 5, y - h // 4))):
        apart = np.linalg.norm(face.landmarks + corner - hopper.landmarks, axis=1).mean()
        assert apart < 0.05 * w
    assert analyzer.in_crops([], []) == []


def test_a_tilted_head_is_known_as_one(analyzer, photograph):
    """The picture turned counterclockwise: the head tilts to its own right shoulder."""
    turn = cv2.getRotationMatrix2D((256, 200), 10, 1)
    tilted = cv2.warpAffine(photograph, turn, (512, 600), borderMode=cv2.BORDER_REPLICATE)
    (straight,), (face,) = analyzer(photograph), analyzer(tilted)
    assert abs(straight.quality.yaw) < 0.2
    assert abs(straight.quality.pitch) < 0.3
    assert face.quality.roll - straight.quality.roll == pytest.approx(np.radians(10), abs=0.08)
    assert face.quality.yaw == pytest.approx(straight.quality.yaw, abs=0.15)


def test_two_frames_of_one_camera_in_one_call_are_refused(tracking, pan):
    with pytest.raises(ConfigError, match="hold each camera at most once"):
        tracking.process([Frame(pan[0], camera="head"), Frame(pan[1], camera="head")])


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("min_face_px", 1e4, "low_quality"),
        ("min_sharpness", 1e6, "low_quality"),
        ("sure_face_score", 1.0, "low_quality"),
        ("max_yaw_deg", 0.001, "low_quality"),
        ("max_pitch_deg", 0.001, "low_quality"),
        ("uncertain_below", 1.0, "uncertain"),
        ("uncertain_below", 0.0, "ok"),
    ],
)
def test_the_state_follows_the_limits(analyzer, photograph, name, value, state):
    config = dataclasses.replace(AnalyzerConfig(), **{name: value})
    (face,) = FaceAnalyzer(analyzer.engine, analyzer.detector, config)(photograph)
    assert face.state == state


def test_a_blurred_face_is_less_sharp(analyzer, hopper, photograph):
    (blurred,) = analyzer(cv2.GaussianBlur(photograph, (0, 0), 4))
    assert blurred.quality.sharpness < 0.3 * hopper.quality.sharpness
    assert blurred.quality.size_px == pytest.approx(hopper.quality.size_px, rel=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_faces", 0),
        ("detect_every", 0),
        ("lost_after_s", 0),
        ("lost_after_s", float("inf")),
        ("min_face_score", 1.5),
        ("uncertain_below", float("nan")),
        ("min_face_px", -1),
        ("min_sharpness", float("nan")),
        ("max_yaw_deg", 0),
        ("max_pitch_deg", 181),
    ],
)
def test_settings_are_checked(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        AnalyzerConfig(**{name: value})
