"""Searching for faces: at once or in the background, in the upright image or, a turn at a time, in the turned one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import Final

from aue_crl_core.faces.detection.looks import TURNS, look_turned
from aue_crl_core.faces.detection.working import FaceDetector
from aue_crl_core.types import FaceBox, Image

_TURNED_WHILE_FOLLOWING: Final = 4
"""Every so many-th search is at the turned image while a face is followed."""
_TURNED_WITHOUT_FACE: Final = 2
"""Every so many-th search goes on at the turned image where the upright one shows no face."""


class FaceSearch:
    """One detector for two ways of searching: at once, and in the background, on a thread of its own.

    The detector runs on one thread at a time: `now` waits for a search that is under way.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._turn = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[list[FaceBox]]] = {}
        self._turns: dict[str, Iterator[float]] = {}
        self._searches: dict[str, int] = {}

    def now(self, image: Image, turn: float = 0.0) -> list[FaceBox]:
        """The faces of an image, HxWx3 uint8 RGB: boxes in its pixels, as `FaceDetector` gives them; with `turn`
        (radians) those whose roll is about that."""
        with self._turn:
            return self._detector(image) if turn == 0 else look_turned(self._detector, image, turn)

    def turned(self, image: Image) -> list[FaceBox]:
        """Faces at any roll but upright, in looks at the turned image; none by a detector that does without."""
        turns = TURNS if self._detector.turned_looks else ()
        return [box for turn in turns for box in self.now(image, turn)]

    def next(self, camera: str, image: Image, following: bool) -> list[FaceBox]:
        """The camera's next search: of the upright image, and in some searches of one of the turned ones, which take
        turns; instead of the upright one while a face is followed, and else after it, if that shows no face."""
        number = self._searches[camera] = self._searches.get(camera, -1) + 1
        every = _TURNED_WHILE_FOLLOWING if following else _TURNED_WITHOUT_FACE
        turned = self._detector.turned_looks and number % every == every - 1
        boxes = [] if turned and following else self.now(image)
        if turned and not boxes:
            boxes = self.now(image, next(self._turns.setdefault(camera, cycle(TURNS))))
        return boxes

    def start(self, camera: str, image: Image) -> None:
        """Begin to search an image of a camera, HxWx3 uint8 RGB, in the background.

        Nothing happens while its last search goes on or has not been fetched by `results`.
        """
        if camera in self._running:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="face search")
        self._running[camera] = self._pool.submit(self.next, camera, image, True)

    def results(self, camera: str) -> list[FaceBox]:
        """Boxes that a background search found in an earlier image of the camera, once; empty while it goes on.

        Raises:
            ImageError: the detector refused that image.
        """
        search = self._running.get(camera)
        if search is None or not search.done():
            return []
        del self._running[camera]
        return search.result()

    def forget(self, camera: str | None = None) -> None:
        """Drop what is known of one camera, or of all: what background searches find, and where looks have been."""
        for known in (self._running, self._turns, self._searches):
            if camera is None:
                known.clear()
            else:
                known.pop(camera, None)
