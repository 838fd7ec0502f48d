"""Cuts: another scene is noticed; a camera that turns, light that changes and a hand before it are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aue_crl_core.faces.cuts import CutDetector


def _cuts(*images: np.ndarray) -> list[bool]:
    detector = CutDetector()
    return [detector(np.ascontiguousarray(image)) for image in images]


@pytest.fixture
def view(photograph) -> np.ndarray:
    return photograph[100:400, 50:450]


@pytest.fixture
def elsewhere(photograph) -> np.ndarray:
    """The portrait's other side, upside down: the same colours, nothing at its place."""
    return photograph[300:600, 0:400][::-1, ::-1]


def test_another_scene_is_a_cut_and_what_follows_in_it_is_none(view, elsewhere):
    assert _cuts(view, view, elsewhere, elsewhere, view) == [False, False, True, False, True]


def test_two_people_at_the_same_place_are_two_scenes(raf_images):
    faces = [cv2.resize(image, (320, 320)) for image in raf_images[:6]]
    assert _cuts(*faces) == [False] + [True] * 5


@pytest.mark.parametrize("step", [3, 30, 80])
def test_a_camera_that_turns_shows_the_same_scene(photograph, step):
    views = [photograph[100:400, x : x + 350] for x in range(0, 160, step)]
    assert not any(_cuts(*views))


def test_a_camera_that_zooms_or_shakes_while_the_shutter_is_open_shows_the_same_scene(view):
    nearer = cv2.resize(view[25:275, 33:366], (400, 300))
    assert not any(_cuts(view, nearer, view, cv2.blur(view, (40, 1)), view))


def test_light_that_changes_is_no_cut(view):
    assert not any(_cuts(view, view // 3, np.clip(view.astype(int) + 60, 0, 255).astype(np.uint8)))


def test_something_before_a_third_of_the_scene_is_no_cut(view):
    hidden = view.copy()
    hidden[60:240, 100:300] = (190, 150, 120)
    assert not any(_cuts(view, hidden, view))


def test_a_black_image_is_no_cut_and_what_comes_after_it_is_compared_with_what_was_before(view, elsewhere):
    black = np.zeros_like(view)
    assert _cuts(view, black, black, view) == [False] * 4
    assert _cuts(view, black, elsewhere) == [False, False, True]


def test_images_of_any_size_and_the_first_one_are_no_cut(view):
    assert not any(_cuts(np.zeros((1, 1, 3), np.uint8), np.zeros((3, 500, 3), np.uint8), view, view[::2, ::2]))
