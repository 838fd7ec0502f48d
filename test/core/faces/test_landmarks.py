"""From a rough box to points, on real faces."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.config import Preprocessing
from aue_crl_core.engines import Engine, make_engine
from aue_crl_core.faces.detection.choice import make_detector
from aue_crl_core.faces.landmarks import LocatedFace, Seed, locate, without_doubles
from aue_crl_core.facs import LEFT_EYE, OUTER_EYE_CORNERS, RIGHT_EYE
from aue_crl_core.types import FaceBox


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(threads=1)


@pytest.fixture(scope="module")
def preprocessing(engine) -> Preprocessing:
    return Preprocessing(input_size=engine.landmark_size)


@pytest.fixture(scope="module")
def seeds(raf_images) -> list[Seed]:
    """The first box that the detector gives, of the photographs where it gives any."""
    detector = make_detector()
    found = [(image, detector(image)) for image in raf_images]
    return [Seed(image, boxes[0]) for image, boxes in found if boxes]


def _distance(a: LocatedFace, b: LocatedFace) -> float:
    """Mean distance of the points, in distances of the outer eye corners."""
    right, left = OUTER_EYE_CORNERS
    return float(np.linalg.norm(a.points - b.points, axis=1).mean() / np.linalg.norm(a.points[left] - a.points[right]))


def test_faces_have_points_where_eyes_nose_and_mouth_can_be(engine, preprocessing, seeds):
    faces = [face for face in locate(engine, preprocessing, seeds, passes=2) if face.score > 0.7]
    assert len(faces) >= 8
    for face in faces:
        points = face.points
        assert points.shape == (68, 2)
        assert points.dtype == np.float32
        assert points[list(RIGHT_EYE), 0].mean() < points[list(LEFT_EYE), 0].mean()
        assert points[36:48, 1].mean() < points[48:, 1].mean() < points[8, 1]


def test_the_box_of_a_face_holds_its_points_and_its_score(engine, preprocessing, seeds):
    face = locate(engine, preprocessing, seeds[:1])[0]
    low, high = face.points.min(axis=0), face.points.max(axis=0)
    np.testing.assert_allclose(face.box.as_list(), [*low, *(high - low)], rtol=1e-6)
    assert face.box.score == face.score
    assert 0 <= face.score <= 1


def test_a_batch_gives_what_each_alone_gives(engine, preprocessing, seeds):
    together = locate(engine, preprocessing, seeds, passes=2)
    for seed, face in zip(seeds, together, strict=True):
        alone = locate(engine, preprocessing, [seed], passes=2)[0]
        np.testing.assert_allclose(alone.points, face.points, atol=0.01)
        assert alone.score == pytest.approx(face.score, abs=1e-4)


def test_looking_again_around_the_points_hardly_moves_them(engine, preprocessing, seeds):
    faces = locate(engine, preprocessing, seeds, passes=2)
    again = locate(engine, preprocessing, [Seed(s.image, f.points) for s, f in zip(seeds, faces, strict=True)])
    moved = [_distance(a, b) for a, b in zip(faces, again, strict=True) if a.score > 0.7]
    assert np.median(moved) < 0.05


def test_a_rough_box_leads_to_the_same_points(engine, preprocessing, seeds):
    faces = locate(engine, preprocessing, seeds, passes=2)
    rough = [
        Seed(s.image, FaceBox(s.around.x + 0.1 * s.around.w, s.around.y, 1.1 * s.around.w, 1.1 * s.around.h))
        for s in seeds
    ]
    moved = [
        _distance(a, b)
        for a, b in zip(faces, locate(engine, preprocessing, rough, passes=2), strict=True)
        if a.score > 0.7
    ]
    assert np.median(moved) < 0.06


def test_a_second_pass_looks_around_the_points_of_the_first(engine, preprocessing, seeds):
    first = locate(engine, preprocessing, seeds)
    second = locate(engine, preprocessing, [Seed(s.image, f.points) for s, f in zip(seeds, first, strict=True)])
    for ours, theirs in zip(locate(engine, preprocessing, seeds, passes=2), second, strict=True):
        np.testing.assert_allclose(ours.points, theirs.points, atol=0.01)
    assert any(_distance(a, b) > 0.01 for a, b in zip(first, second, strict=True))


def test_no_seed_is_no_face(engine, preprocessing):
    assert locate(engine, preprocessing, []) == []


def _square(x: float, side: float, score: float, confirmed: bool = True) -> LocatedFace:
    corners = np.array([[x, 0], [x + side, side]], dtype=np.float32)
    return LocatedFace(np.repeat(corners, 34, axis=0), score, confirmed=confirmed)


def test_of_faces_on_one_place_the_surest_is_kept():
    worse, better, beside = _square(0, 100, 0.6), _square(10, 100, 0.9), _square(200, 100, 0.7)
    assert [face.score for face in without_doubles([worse, better, beside])] == [better.score, beside.score]


def test_faces_that_only_touch_are_two():
    faces = [_square(0, 100, 0.9), _square(70, 100, 0.8)]
    assert without_doubles(faces) == faces


def test_two_that_share_a_third_are_one():
    """Of two people's boxes in 853 scenes with 1,804 faces none share more than 0.21 of both."""
    surer, beside = _square(0, 100, 0.9), _square(48, 100, 0.8)
    assert 0.3 < surer.box.iou(beside.box) < 0.4
    assert [face.score for face in without_doubles([beside, surer])] == [surer.score]


def test_a_face_in_a_surer_one_is_the_same_however_small_it_is():
    inner, outer = _square(40, 30, 0.8), _square(0, 100, 0.9)
    assert inner.box.iou(outer.box) < 0.1
    assert [face.score for face in without_doubles([inner, outer])] == [outer.score]


def test_a_followed_face_is_confirmed_by_the_one_that_a_detector_found_on_it():
    followed, found = _square(0, 100, 0.9, confirmed=False), _square(10, 100, 0.8)
    (kept,) = without_doubles([followed, found])
    assert (kept.score, kept.confirmed) == (0.9, True)
    (alone,) = without_doubles([followed])
    assert not alone.confirmed
