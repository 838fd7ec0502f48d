"""A detector at once and in the background, with detectors that do as they are told."""

import threading
import time

import numpy as np
import pytest

from aue_crl_core.errors import ImageError
from aue_crl_core.faces.detection.scales import look_small
from aue_crl_core.faces.search import FaceSearch
from aue_crl_core.types import FaceBox

IMAGE = np.zeros((10, 10, 3), np.uint8)


class Told:
    """Finds a box as wide as the image's first pixel, when it may go on."""

    name, at_any_roll = "told", None

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


class Noting:
    """Notes which of two detectors is shown an image, and whether that was made small; has `boxes` in each."""

    def __init__(self, seen=None, name="upright", boxes=(), at_any_roll=None):
        self.seen = [] if seen is None else seen
        self.name, self.boxes, self.at_any_roll = name, list(boxes), at_any_roll

    def __call__(self, image):
        self.seen.append(self.name if image.shape == SCENE.shape else f"{self.name}, small")
        return self.boxes

    def glance(self, image):
        return look_small(self, image)


SCENE = np.zeros((400, 800, 3), np.uint8)
FACE, LYING = FaceBox(1, 2, 3, 4), FaceBox(9, 9, 5, 5, roll=1.5)


@pytest.fixture
def pair():
    """A detector that finds an upright face, and its other, which finds one that lies."""
    seen = []
    return Noting(seen, boxes=[FACE], at_any_roll=Noting(seen, "any roll", [LYING]))


def test_where_no_face_is_followed_every_second_search_goes_on_at_any_roll(pair):
    search = FaceSearch(pair)
    found = [search.next("c", SCENE, following=False) for _ in range(4)]
    assert found == [[FACE], [FACE, LYING]] * 2
    assert pair.seen == ["upright", "upright", "any roll"] * 2


def test_while_a_face_is_followed_most_searches_are_of_the_small_image_one_of_them_at_any_roll(pair):
    search = FaceSearch(pair)
    for _ in range(10):
        search.next("c", SCENE, following=True)
    assert pair.seen == ["upright", "upright, small", "any roll, small", "upright, small", "upright, small"] * 2


def test_boxes_of_the_small_image_are_in_the_pixels_of_the_whole_one(pair):
    search = FaceSearch(pair)
    _, (small,), (lying,) = (search.next("c", SCENE, following=True) for _ in range(3))
    assert small.as_list()[:4] == [2.5, 5, 7.5, 10]
    assert (lying.x, lying.roll) == (22.5, 1.5)


def test_each_camera_has_its_own_round(pair):
    search = FaceSearch(pair)
    search.next("c", SCENE, following=False)
    assert search.next("d", SCENE, following=False) == [FACE]
    assert search.next("c", SCENE, following=False) == [FACE, LYING]
    search.forget("c")
    assert search.next("c", SCENE, following=False) == [FACE]


def test_a_detector_without_another_is_asked_alone():
    alone = Noting()
    search = FaceSearch(alone)
    for following in (False, True):
        for _ in range(5):
            search.next("c", SCENE, following=following)
    assert search.at_any_roll(SCENE) == []
    assert alone.seen == ["upright"] * 6 + ["upright, small"] * 4


def test_a_single_image_is_looked_at_at_any_roll_when_asked(pair):
    assert FaceSearch(pair).at_any_roll(SCENE) == [LYING]


def test_a_single_image_is_looked_at_small_for_those_tilted_further_than_the_detector_knows(pair):
    pair.at_any_roll.boxes.append(FaceBox(5, 5, 5, 5, roll=-0.5))
    upright, lying = FaceSearch(pair).single(SCENE)
    assert upright == FACE
    assert (lying.x, lying.roll) == (22.5, 1.5)
    assert pair.seen == ["upright", "any roll, small"]
    assert FaceSearch(Noting(boxes=[FACE])).single(SCENE) == [FACE]
