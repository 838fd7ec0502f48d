"""A detector at once and in the background, with detectors that do as they are told."""

import threading
import time

import numpy as np
import pytest

from aue_crl_core.errors import ImageError
from aue_crl_core.faces.search import FaceSearch
from aue_crl_core.types import FaceBox

IMAGE = np.zeros((10, 10, 3), np.uint8)


class Told:
    """Finds a box as wide as the image's first pixel, when it may go on."""

    name = "told"

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
