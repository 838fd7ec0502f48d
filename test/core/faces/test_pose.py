"""How a head is turned: signs and invariances on real faces, values on the average face turned by known angles."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.faces.pose import SHAPE, depths, head_pose, visible_units


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Of a face seen by a camera (x right, y down, z away): raised, then turned to its left, then tilted."""
    a, b, c = -roll, -yaw, -pitch
    rx = np.array([[1, 0, 0], [0, math.cos(c), -math.sin(c)], [0, math.sin(c), math.cos(c)]])
    ry = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    rz = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    return rz @ ry @ rx


def _face(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, scale: float = 1.0, at=(0.0, 0.0)) -> np.ndarray:
    """68x2 points of the average face seen from afar; points that it does not have lie at its middle."""
    points = np.zeros((68, 2))
    points[list(SHAPE)] = (np.array(list(SHAPE.values())) @ _rotation(yaw, pitch, roll).T)[:, :2]
    return points * scale + at


angle = st.floats(-1.3, 1.3)
full_turn = st.floats(-3.1, 3.1)


@given(angle, angle, full_turn, st.floats(0.05, 20), st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_a_known_pose_is_found_wherever_and_however_large_the_face_is(yaw, pitch, roll, scale, x, y):
    pose = head_pose(_face(yaw, pitch, roll, scale, (x, y)))
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=1e-6)


def test_the_signs_are_those_of_the_message():
    nose, eye = 30, 27
    to_its_left, raised, to_its_right_shoulder = _face(yaw=0.5), _face(pitch=0.5), _face(roll=0.5)
    assert to_its_left[nose, 0] > to_its_left[eye, 0]
    assert raised[nose, 1] - raised[eye, 1] < _face()[nose, 1] - _face()[eye, 1]
    assert to_its_right_shoulder[36, 1] > to_its_right_shoulder[45, 1]


@pytest.fixture(scope="module")
def photographed(photograph, raf_images) -> list[tuple[np.ndarray, np.ndarray]]:
    """The points of real faces, and those found in their mirror images."""
    pytest.importorskip("onnxruntime")
    from aue_crl_core.analyzer import FaceAnalyzer

    analyzer = FaceAnalyzer.load("edge", threads=1)
    images = [photograph, *raf_images]
    pairs = [(analyzer(image), analyzer(cv2.flip(image, 1))) for image in images]
    found = [(a[0].landmarks, b[0].landmarks) for a, b in pairs if len(a) == len(b) == 1]
    assert len(found) >= 8
    return found


def test_ordinary_photographs_look_roughly_here(photographed):
    poses = [head_pose(points) for points, _ in photographed]
    assert all(abs(p.yaw) < math.radians(60) and abs(p.pitch) < math.radians(45) for p in poses)
    assert abs(np.median([p.pitch for p in poses])) < math.radians(12)


def test_in_a_mirror_yaw_and_roll_change_their_sign(photographed):
    for points, mirrored in photographed:
        ours, theirs = head_pose(points), head_pose(mirrored)
        assert (theirs.yaw, theirs.pitch, theirs.roll) == pytest.approx(
            (-ours.yaw, ours.pitch, -ours.roll), abs=math.radians(10)
        )


@given(turn=st.floats(-1.5, 1.5))
def test_turning_the_picture_changes_the_roll_only(photographed, turn):
    points = photographed[0][0].astype(np.float64)
    c, s = math.cos(turn), math.sin(turn)
    before, after = head_pose(points), head_pose(points @ np.array([[c, s], [-s, c]]))
    assert (after.yaw, after.pitch) == pytest.approx((before.yaw, before.pitch), abs=1e-9)
    assert after.roll == pytest.approx(before.roll - turn, abs=1e-9)


@pytest.mark.parametrize(
    "points",
    [np.zeros((68, 2)), np.full((68, 2), 7.0), np.full((68, 2), np.nan), np.linspace((0, 0), (68, 34), 68)],
    ids=["origin", "one place", "NaN", "a line"],
)
def test_points_that_make_no_face_have_no_pose(points):
    pose = head_pose(points.astype(np.float32))
    assert all(map(math.isnan, (pose.yaw, pose.pitch, pose.roll)))


@pytest.mark.parametrize("yaw", [0.0, math.radians(34), math.radians(50), math.radians(-50)])
def test_of_a_whole_face_in_the_image_every_unit_has_a_side_that_shows(photographed, yaw):
    points = photographed[0][0]
    assert visible_units(points, yaw, 10_000, 10_000) == frozenset(facs.ACTION_UNITS)


def test_what_lies_outside_the_image_is_not_visible(photographed):
    points = photographed[0][0]
    top = points[[33]].mean(axis=0)[1]
    upper = visible_units(points, 0.0, 10_000, int(top))
    lower = visible_units(points - (0, top), 0.0, 10_000, 10_000)
    assert {1, 2, 4, 5, 7} <= upper
    assert {12, 15, 20, 25} <= lower
    assert not {12, 15, 20, 25} & upper
    assert not {1, 2, 4, 5, 7} & lower
    assert visible_units(points, 0.0, 1, 1) == frozenset()


def test_covered_eyes_and_a_covered_mouth_hide_their_own_units(photographed):
    points, everything = photographed[0][0], frozenset(facs.ACTION_UNITS)
    assert everything - visible_units(points, 0.0, 10_000, 10_000, eyes=False) == {5, 6, 7}
    below = {10, 12, 15, 16, 17, 20, 23, 24, 25, 26}
    assert everything - visible_units(points, 0.0, 10_000, 10_000, mouth=False) == below
    assert visible_units(points, 0.0, 10_000, 10_000, eyes=False, mouth=False) == {1, 2, 4, 9}


def test_a_turned_head_hides_the_units_whose_near_side_lies_outside(photographed):
    """Only the face's own left half, on the right of the image, is inside."""
    points = photographed[0][0]
    points = points - (points[27, 0], 0)
    sided = {2, 5, 6, 7, 9, 10, 12, 15, 16, 20}
    assert sided <= visible_units(points, 0.0, 10_000, 10_000)
    assert sided <= visible_units(points, math.radians(-50), 10_000, 10_000)
    assert not sided & visible_units(points, math.radians(50), 10_000, 10_000)


@given(angle, angle, full_turn, st.floats(0.05, 20))
def test_depths_are_those_of_the_turned_face(yaw, pitch, roll, scale):
    places = np.array(list(SHAPE.values())) @ _rotation(yaw, pitch, roll).T * scale
    expected = places[:, 2] - places[:, 2].mean()
    np.testing.assert_allclose(depths(_face(yaw, pitch, roll, scale)), expected, atol=1e-6 * scale * 100)


def test_points_without_a_pose_have_no_depths():
    assert depths(np.full((68, 2), np.nan)) is None
    assert depths(np.zeros((68, 2))) is None
