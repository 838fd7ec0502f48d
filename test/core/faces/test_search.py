"""A detector at once and in the background, with detectors that do as they are told."""

import threading
import time

import numpy as np
import pytest

from aue_crl_core.errors import ImageError
from aue_crl_core.faces import search as search_module
from aue_crl_core.faces.detection.looks import TURNS
from aue_crl_core.faces.search import FaceSearch
from aue_crl_core.types import FaceBox

IMAGE = np.zeros((10, 10, 3), np.uint8)


class Told:
    """Finds a box as wide as the image's first pixel, when it may go on."""

    name, turned_looks = "told", False

    def __init__(self):
        self.may_go_on = threading.Event()
        self.running = 0
        self.most_running = 0

    def __call__(self, image):
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        assert self.may_go_on.wait(10)
        self.running -= 1
        if image[0, 0, 0] == 255:
            raise ImageError("told to refuse")
        return [FaceBox(0, 0, float(image[0, 0, 0]), 1)]


def picture(value):
    return np.full_like(IMAGE, value)


def eventually(what):
    for _ in range(500):
        if got := what():
            return got
        time.sleep(0.01)
    raise AssertionError("it did not come")


@pytest.fixture
def detector():
    detector = Told()
    yield detector
    detector.may_go_on.set()


def test_what_is_found_in_the_background_is_given_once_when_it_is_there(detector):
    search = FaceSearch(detector)
    search.start("c", picture(3))
    assert search.results("c") == []
    detector.may_go_on.set()
    (box,) = eventually(lambda: search.results("c"))
    assert box.w == 3
    assert search.results("c") == []


def test_a_camera_has_one_search_at_a_time_and_cameras_do_not_mix(detector):
    search = FaceSearch(detector)
    search.start("c", picture(3))
    search.start("c", picture(4))
    search.start("d", picture(5))
    detector.may_go_on.set()
    assert eventually(lambda: search.results("d"))[0].w == 5
    assert eventually(lambda: search.results("c"))[0].w == 3


def test_the_detector_never_runs_twice_at_once(detector):
    search = FaceSearch(detector)
    search.start("c", picture(3))
    eventually(lambda: detector.running)
    threading.Timer(0.05, detector.may_go_on.set).start()
    assert search.now(picture(6))[0].w == 6
    assert detector.most_running == 1


def test_a_refused_image_is_told_to_whoever_asks(detector):
    search = FaceSearch(detector)
    detector.may_go_on.set()
    search.start("c", picture(255))

    def refused():
        try:
            return search.results("c") or None
        except ImageError:
            return True

    assert eventually(refused) is True
    search.start("c", picture(2))
    assert eventually(lambda: search.results("c"))[0].w == 2


@pytest.mark.parametrize("camera", ["c", None])
def test_forgotten_searches_find_nothing(detector, camera):
    search = FaceSearch(detector)
    search.start("c", picture(3))
    search.forget(camera)
    detector.may_go_on.set()
    assert search.now(picture(1))[0].w == 1
    assert search.results("c") == []


class Shapes:
    """Notes the shape of each picture that it is shown: the turned ones have another."""

    name, turned_looks = "shapes", True

    def __init__(self, boxes=()):
        self.boxes = list(boxes)
        self.seen = []

    def __call__(self, image):
        looks = {(400, 800): "upright", (160, 320): "small"}
        self.seen.append(looks.get(image.shape[:2], "turned" if image.size > 3 * 480 * 240 else "turned, small"))
        return self.boxes


SCENE = np.zeros((400, 800, 3), np.uint8)


def test_where_no_face_is_followed_every_second_search_goes_on_at_a_turn():
    shapes = Shapes()
    search = FaceSearch(shapes)
    for _ in range(4):
        assert search.next("c", SCENE, following=False) == []
    assert shapes.seen == ["upright", "upright", "turned", "upright", "upright", "turned"]


def test_an_upright_face_spares_the_turned_look():
    shapes = Shapes([FaceBox(1, 2, 3, 4)])
    search = FaceSearch(shapes)
    assert [search.next("c", SCENE, following=False) for _ in range(4)] == [[FaceBox(1, 2, 3, 4)]] * 4
    assert set(shapes.seen) == {"upright"}


def test_while_a_face_is_followed_most_searches_are_of_the_small_image():
    shapes = Shapes()
    search = FaceSearch(shapes)
    for _ in range(10):
        search.next("c", SCENE, following=True)
    assert shapes.seen == ["upright", "small", "turned, small", "small", "small"] * 2
    shapes.seen, shapes.turned_looks = [], False
    for _ in range(5):
        search.next("c", SCENE, following=True)
    assert shapes.seen == ["upright", "small", "small", "small", "small"]


def test_turns_are_taken_one_after_the_other_and_each_camera_has_its_own(monkeypatch):
    turns = []
    monkeypatch.setattr(search_module, "look_turned", lambda detector, image, turn, long_px: turns.append(turn) or [])
    search = FaceSearch(Shapes())
    for _ in range(2 * len(TURNS) + 2):
        search.next("c", SCENE, following=False)
    search.next("d", SCENE, following=False)
    search.next("d", SCENE, following=False)
    assert turns == [*TURNS, TURNS[0], TURNS[0]]


def test_a_detector_that_does_without_is_never_shown_a_turned_image():
    shapes = Shapes()
    shapes.turned_looks = False
    search = FaceSearch(shapes)
    for _ in range(9):
        search.next("c", SCENE, following=False)
    assert search.turned(SCENE) == []
    assert set(shapes.seen) == {"upright"}


def test_all_turns_of_a_single_image_are_looked_at():
    shapes = Shapes()
    assert FaceSearch(shapes).turned(SCENE) == []
    assert shapes.seen == ["turned"] * len(TURNS)
