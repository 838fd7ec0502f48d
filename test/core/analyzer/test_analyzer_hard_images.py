"""Images that cameras do give now and then: too near, cut off, upside down, enormous, black, of another size."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.types import FaceBox, Frame


@pytest.fixture(scope="module")
def box(hopper):
    return hopper.box


def test_a_face_larger_than_the_image(analyzer, photograph, box):
    x, y = round(box.x + 0.06 * box.w), round(box.y - 0.02 * box.h)
    near = photograph[y : y + round(1.0 * box.h), x : x + round(0.88 * box.w)]
    (face,) = analyzer(cv2.resize(near, None, fx=3, fy=3))
    assert face.box.w > 0.9 * 3 * near.shape[1]


@pytest.mark.parametrize("side", ["left", "right", "above", "below"])
def test_a_face_a_fifth_of_which_is_beyond_the_border(analyzer, photograph, box, side):
    x, y, far_x, far_y = 0, 0, photograph.shape[1], photograph.shape[0]
    if side == "left":
        x = round(box.x + 0.2 * box.w)
    elif side == "right":
        far_x = round(box.x + 0.8 * box.w)
    elif side == "above":
        y = round(box.y + 0.2 * box.h)
    else:
        far_y = round(box.y + 0.8 * box.h)
    (face,) = analyzer(np.ascontiguousarray(photograph[y:far_y, x:far_x]))
    assert abs(face.box.x + face.box.w / 2 + x - box.x - box.w / 2) < 0.2 * box.w


@pytest.mark.parametrize("degrees", [30, 60, 90, 135, 180, 225, 270, 300, 330])
def test_a_head_at_any_roll(analyzer, photograph, box, degrees):
    """As a camera sees one who lies on a sofa, or that hangs upside down; the crop that is read is upright."""
    upright = analyzer(photograph)[0]
    middle = box.x + box.w / 2, box.y + box.h / 2
    turn = cv2.getRotationMatrix2D(middle, -degrees, 0.6)
    turned = cv2.warpAffine(photograph, turn, photograph.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    (face,) = analyzer(turned)
    tilted = face.quality.roll - upright.quality.roll + math.radians(degrees)  # to the other shoulder
    assert math.remainder(tilted, math.tau) == pytest.approx(0, abs=0.2)
    assert np.hypot(face.box.x + face.box.w / 2 - middle[0], face.box.y + face.box.h / 2 - middle[1]) < 0.2 * box.w


@pytest.fixture(scope="module")
def room(photograph):
    """One who lies, at the right of a camera's image; the left half is empty."""
    image = np.full((480, 640, 3), 110, np.uint8)
    lying = np.rot90(cv2.resize(photograph, (256, 300), interpolation=cv2.INTER_AREA))
    image[150:406, 340:640] = lying
    return image


def test_a_camera_soon_sees_one_who_lies(tracking, room):
    seen = [tracking.process([Frame(room, time_s=n / 30, camera="c")])[0] for n in range(9)]
    (face,) = seen[-1]
    assert len({face.face_id for faces in seen for face in faces}) == 1
    assert abs(face.quality.roll) == pytest.approx(math.pi / 2, abs=0.3)
    assert face.box.x > 340


def test_one_who_lies_is_seen_beside_one_who_stands(tracking, room, photograph):
    both = room.copy()
    both[100:400, 40:296] = cv2.resize(photograph, (256, 300), interpolation=cv2.INTER_AREA)
    seen = [tracking.process([Frame(both, time_s=n / 30, camera="c")])[0] for n in range(21)]
    rolls = sorted(abs(face.quality.roll) for face in seen[-1])
    assert rolls == pytest.approx([0, math.pi / 2], abs=0.3)


def test_an_image_twelve_thousand_pixels_wide(analyzer, photograph):
    wide = np.full((900, 12_000, 3), 90, np.uint8)
    wide[100:700, 7_000:7_512] = photograph
    for face in analyzer(wide):  # at 640 px of width this face has 7: it may be missed, but nowhere else be seen
        assert 7_000 <= face.box.x + face.box.w / 2 <= 7_512


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (2, 2), (7, 1200)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_strips_and_specks_hold_no_face(analyzer, shape, level):
    assert analyzer(np.full((*shape, 3), level, np.uint8)) == []


class Watched:
    """The real networks, noting how many crops they are shown."""

    def __init__(self, engine) -> None:
        self._engine = engine
        self.crops: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def landmarks(self, crops):
        self.crops.append(len(crops))
        return self._engine.landmarks(crops)


class SeesFacesEverywhere:
    """A detector at its worst, and its other: thousands of boxes, some without a place."""

    name = "worst"

    def __init__(self, at_any_roll=None) -> None:
        self.at_any_roll = at_any_roll

    def __call__(self, image):
        corners = np.random.default_rng(0).uniform(0, max(image.shape), (3000, 2)).tolist()
        return [FaceBox(x, y, 30.0, 30.0) for x, y in corners] + [FaceBox(math.inf, 0.0, math.nan, 1.0)]

    glance = __call__


@pytest.mark.parametrize("shape", [(33_000, 333), (100, 33_000)])
def test_what_a_picture_costs_is_bounded_whatever_is_seen_in_it(analyzer, shape):
    engine, detector = Watched(analyzer.engine), SeesFacesEverywhere(SeesFacesEverywhere())
    assert FaceAnalyzer(engine, detector)(np.full((*shape, 3), 128, np.uint8)) == []
    assert engine.crops == [128, 128, 128, 128]  # both detectors', two passes each, each in the mirror as well


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920)])
def test_a_black_image_holds_no_face(analyzer, size):
    assert analyzer(np.zeros((*size, 3), np.uint8)) == []
    noise = np.random.default_rng(0).poisson(1.0, (*size, 3)).astype(np.uint8)
    assert analyzer(noise) == []


def test_a_camera_that_changes_its_size_between_frames(analyzer, photograph, box):
    tracking = FaceAnalyzer(analyzer.engine, analyzer.detector)
    sizes = [1.0, 1.0, 0.5, 0.5, 1.5, 0.2, 0.2, 1.0]
    for number, scale in enumerate(sizes):
        image = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        (face,) = tracking.process([Frame(image, time_s=number / 30, camera="zoom")])[0]
        assert face.face_id == "f1"
        assert face.box.w == pytest.approx(scale * box.w, rel=0.15)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_border_around_a_photograph_changes_nothing_but_the_place(analyzer, photograph, hopper, grey):
    part = np.ascontiguousarray(photograph[40:420, 100:480])
    (plain,) = analyzer(part)
    (framed,) = analyzer(cv2.copyMakeBorder(part, 60, 50, 70, 0, cv2.BORDER_CONSTANT, value=(grey, grey, grey)))
    assert framed.probabilities == plain.probabilities
    assert framed.action_units == plain.action_units
    np.testing.assert_allclose(framed.landmarks, plain.landmarks + np.array((70, 60)), atol=0.01)
    assert framed.box.as_list() == pytest.approx(
        [plain.box.x + 70, plain.box.y + 60, plain.box.w, plain.box.h], abs=0.1
    )
    (located,) = analyzer.find([cv2.copyMakeBorder(part, 60, 50, 70, 0, cv2.BORDER_CONSTANT)])[0]
    np.testing.assert_allclose(located.points, framed.landmarks, atol=0.01)
