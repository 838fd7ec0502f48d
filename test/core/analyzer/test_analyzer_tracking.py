"""A face keeps its id while it is followed, camera by camera, and loses it when it has been away."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.errors import ConfigError
from aue_crl_core.types import FaceBox, Frame


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

    name, at_any_roll = "blinking", None

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


def test_frames_without_the_face_are_empty_and_it_comes_back_under_its_id(tracking, pan, hidden):
    assert _ids(tracking, [pan[0], pan[1], hidden, hidden, pan[2], pan[3]]) == [["f1"], ["f1"], [], [], ["f1"], ["f1"]]


def test_after_more_than_a_second_away_it_is_a_new_face(tracking, pan, hidden):
    assert _ids(tracking, [pan[0], *[hidden] * 17, pan[1]])[-1] == ["f2"]


def _scene(analyzer: FaceAnalyzer, photograph: np.ndarray, side: float) -> np.ndarray:
    """The photograph in 320x240 pixels, its face in the middle and so large."""
    (face,) = analyzer(photograph)
    scale = side / max(face.box.w, face.box.h)
    x, y = face.box.x + face.box.w / 2, face.box.y + face.box.h / 2
    to_scene = np.array([[scale, 0, 160 - scale * x], [0, scale, 120 - scale * y]])
    return cv2.warpAffine(photograph, to_scene, (320, 240), borderMode=cv2.BORDER_REPLICATE)


def test_after_a_cut_to_another_person_at_the_same_place_the_ids_are_others(analyzer, tracking, raf_images):
    people = [image for image in raf_images if len(analyzer(image)) == 1][:2]
    scenes = [_scene(analyzer, person, side) for person, side in zip(people, (110, 80), strict=True)]
    film = [np.roll(scenes[i // 6 % 2], i % 6, axis=1) for i in range(24)]
    assert _ids(tracking, film) == [[f"f{1 + i // 6}"] for i in range(24)]
    assert tracking.live_ids("head") == ("f4",)


def test_a_cut_ends_the_ids_with_the_frame_that_shows_it(tracking, pan, photograph):
    _ids(tracking, pan[:2])
    assert tracking.process([Frame(photograph[::-1], time_s=0.2, camera="head")]) == [[]]
    assert (tracking.ended_ids("head"), tracking.live_ids("head")) == (("f1",), ())


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


def test_a_camera_knows_who_is_followed_and_who_has_gone(tracking, pan, hidden):
    assert tracking.live_ids("head") == tracking.ended_ids("head") == ()
    _ids(tracking, [pan[0], hidden])
    assert tracking.live_ids("head") == ("f1",)
    assert tracking.ended_ids("head") == ()
    _ids(tracking, [hidden], start_s=2.0)
    assert tracking.live_ids("head") == ()
    assert tracking.ended_ids("head") == ("f1",)
    assert tracking.live_ids("another") == ()


def test_other_limits_reach_the_cameras_that_are_followed_already(tracking, pan, hidden):
    _ids(tracking, [pan[0]])
    tracking.reconfigure(dataclasses.replace(tracking.config, lost_after_s=10, min_face_px=1e4))
    _ids(tracking, [hidden], start_s=5.0)
    (face,) = tracking.process([Frame(pan[1], time_s=6.0, camera="head")])[0]
    assert (face.face_id, face.state) == ("f1", "low_quality")


def test_two_frames_of_one_camera_in_one_call_are_refused(tracking, pan):
    with pytest.raises(ConfigError, match="hold each camera at most once"):
        tracking.process([Frame(pan[0], camera="head"), Frame(pan[1], camera="head")])
