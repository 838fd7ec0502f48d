"""DCNN-DA: faces turn and light falls as it should; the cluster loss, by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.faces.crop import mirrored_points  # noqa: E402
from aue_crl_core.faces.pose import SHAPE, head_pose  # noqa: E402
from aue_crl_core.facs import MIRRORED_POINTS  # noqa: E402
from aue_crl_core.methods.dcnn_da import (  # noqa: E402
    _MIRRORED,
    _RIGHT_HALF,
    FURTHEST,
    METHOD,
    WEIGHT,
    YAW,
    cluster_loss,
    relit,
    synthesised,
    turned,
)
from aue_crl_core.methods.method import HeadOutput, MethodBatch  # noqa: E402

SIZE = 192
NOSE, RIGHT_EYE, LEFT_EYE, MOUTH = 30, 36, 45, 54
MARKED = tuple(SHAPE)


def _points(scale: float = 1.0) -> np.ndarray:
    """The average face looking into the camera, in the middle of the picture; other points at its middle."""
    points = np.full((68, 2), SIZE / 2)
    points[list(SHAPE)] += (np.array(list(SHAPE.values()))[:, :2] - (0, 40)) * scale
    return points.astype(np.float32)


def _face(points: np.ndarray, marked: tuple[int, ...] = MARKED) -> np.ndarray:
    """A grey picture with a soft bright spot at each of the points."""
    image = np.full((SIZE, SIZE), 40.0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for x, y in points[list(marked)]:
        image += 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _spot(image: np.ndarray) -> np.ndarray:
    """Where the one spot of a picture lies, (x, y)."""
    weights = np.maximum(image[:, :, 0].astype(float) - 60, 0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


def _turned_points(yaw: float, pitch: float) -> np.ndarray:
    """Where the points of `SHAPE` lie in the turned picture, each found by its own spot."""
    points, found = _points(), np.zeros((68, 2))
    for number in SHAPE:
        found[number] = _spot(turned(_face(points, (number,)), points, yaw, pitch))
    return found


@pytest.mark.parametrize(("yaw", "pitch"), [(0.4, 0.0), (-0.3, 0.0), (0.0, 0.2), (0.25, -0.2)])
def test_a_turned_face_has_the_pose_that_was_asked_for(yaw, pitch):
    pose = head_pose(_turned_points(yaw, pitch))
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, 0), abs=0.04)


def test_the_nose_goes_where_the_face_turns():
    points = _points()
    nose = _face(points, (NOSE,))
    x, y = points[NOSE]
    assert _spot(turned(nose, points, 0.4, 0.0))[0] > x + 5, "to its own left: to the image's right"
    assert _spot(turned(nose, points, -0.4, 0.0))[0] < x - 5
    assert _spot(turned(nose, points, 0.0, 0.25))[1] < y - 2, "raised"


def test_a_face_turned_the_other_way_is_the_mirror_image(photograph):
    points = _points(0.7)
    image = cv2.resize(photograph[60:300, 150:390], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    straight = turned(image, points, 0.4, 0.1)
    mirrored = turned(np.ascontiguousarray(image[:, ::-1]), mirrored_points(points, SIZE), -0.4, 0.1)[:, ::-1]
    difference = np.abs(straight.astype(int) - mirrored)
    assert difference.mean() < 1
    assert np.abs(straight.astype(int) - image).mean() > 5


def test_what_is_not_turned_stays_and_the_picture_around_the_face_too(photograph):
    image = cv2.resize(photograph[60:300, 150:390], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    small = _points(0.35)
    assert np.abs(turned(image, small, 0.0, 0.0).astype(int) - image).max() <= 2
    beyond = np.ones((SIZE, SIZE), bool)
    beyond[30:-30, 30:-30] = False
    np.testing.assert_array_equal(turned(image, small, 0.5, 0.2)[beyond], image[beyond])


def test_points_that_show_no_face_change_nothing(photograph):
    image = np.ascontiguousarray(photograph[:SIZE, :SIZE])
    line = np.linspace((0, 0), (50, 50), 68).astype(np.float32)
    for points in (line, np.zeros((68, 2), np.float32), np.full((68, 2), np.nan, np.float32)):
        np.testing.assert_array_equal(turned(image, points, 0.4, 0.1), image)


def test_light_comes_from_where_it_is_said_to():
    grey, points = np.full((SIZE, SIZE, 3), 120, np.uint8), _points()
    np.testing.assert_allclose(relit(grey, points, 0.0, 0.0), 120, atol=1)

    def brightness(image: np.ndarray, number: int) -> int:
        x, y = points[number].astype(int)
        return int(image[y, x, 0])

    from_right, from_above = relit(grey, points, 1.2, 0.0), relit(grey, points, 0.0, 0.7)
    assert brightness(from_right, LEFT_EYE) > brightness(from_right, RIGHT_EYE) + 40
    assert brightness(from_above, RIGHT_EYE) == pytest.approx(brightness(from_above, LEFT_EYE), abs=2)
    assert brightness(from_above, LEFT_EYE) > brightness(from_above, MOUTH)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 300))
def test_wherever_points_lie_a_picture_comes_out(seed, spread):
    rng = np.random.default_rng(seed)
    points = rng.normal(48, spread, (68, 2)).astype(np.float32)
    points[rng.integers(68, size=20)] = points[0]
    crop = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for image in (turned(crop, points, 0.5, -0.2), relit(crop, points, 1.0, 0.5), synthesised(crop, points, rng)):
        assert (image.shape, image.dtype) == (crop.shape, crop.dtype)


@pytest.mark.parametrize("size", [64, 96])
def test_synthesis_draws_from_its_generator_alone(photograph, size):
    crop = cv2.resize(photograph[60:300, 150:390], (size, size), interpolation=cv2.INTER_AREA)
    before, points = crop.copy(), _points(0.7) * (size / SIZE)
    drawn = [synthesised(crop, points, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3, 4)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len({image.tobytes() for image in drawn}) >= 4
    assert all(image.shape == crop.shape and image.dtype == np.uint8 for image in drawn)
    np.testing.assert_array_equal(crop, before)


def _seen_from_the_side(yaw_deg: float) -> np.ndarray:
    """The points of the average face turned so, those that lie behind it too."""
    points, shape = _points(), np.array(list(SHAPE.values()))
    turn = math.radians(yaw_deg)
    points[list(SHAPE), 0] = SIZE / 2 + shape[:, 0] * math.cos(turn) - shape[:, 2] * math.sin(turn)
    return points


def test_a_face_that_is_turned_already_is_turned_little_further():
    points, near = _seen_from_the_side(35), 48
    mouth = cv2.subtract(_face(points, (near,)), np.full((SIZE, SIZE, 3), 40, np.uint8))
    turns = [synthesised(mouth, points, np.random.default_rng(seed)) for seed in range(40)]
    moved = [_spot(turn)[0] - points[near, 0] for turn in turns]
    assert min(moved) < -5, "back"
    assert max(moved) < 3, "turned by 30 degrees it would have moved by 12"


@pytest.mark.parametrize("yaw_deg", [-85, 85])
def test_a_profile_is_turned_back(yaw_deg):
    points = _seen_from_the_side(yaw_deg)
    assert abs(head_pose(points).yaw) > FURTHEST + YAW
    for seed in range(20):
        assert synthesised(_face(points), points, np.random.default_rng(seed)).shape == (SIZE, SIZE, 3)


def test_the_mesh_is_symmetrical():
    assert _MIRRORED[:68] == MIRRORED_POINTS
    assert all(_MIRRORED[_MIRRORED[node]] == node for triangle in _RIGHT_HALF for node in triangle)


def test_the_cluster_loss_by_hand():
    features = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    labels = torch.tensor([3, 3, 3, 0])
    # the mean of class 3 is (1, 1/3): squared distances 10/9, 10/9, 4/9; a face alone in its class costs nothing
    assert cluster_loss(features, labels, 7).item() == pytest.approx((10 + 10 + 4) / 9 / 4 / 2)


def test_its_gradient():
    labels = torch.tensor([0, 2, 2, 0, 1])
    features = torch.randn(5, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: cluster_loss(f, labels, 4), features)


def test_the_criterion_weighs_it():
    feature, label, empty = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2]), torch.empty(0)
    output, batch = HeadOutput(empty, feature, {}), MethodBatch(empty, label, empty, empty, empty)
    terms = METHOD.criterion(ModelConfig())(output, batch)
    torch.testing.assert_close(terms["cluster"], WEIGHT * cluster_loss(feature, label, 7))


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("dcnn_da", 40)[0] >= 0.9
