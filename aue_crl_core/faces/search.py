"""Searching for faces: at once or in the background; in the whole image, in it made small, in it turned."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import Final

from aue_crl_core.faces.detection.looks import SMALL_PX, TURNS, WORK_PX, look_small, look_turned
from aue_crl_core.faces.detection.working import FaceDetector
from aue_crl_core.types import FaceBox, Image

_ROUND: Final = 5
"""While a face is followed, of so many searches the first is of the whole image; the others are of the image made
small, the third of it turned as well: cheap, so that no frame waits for long, and enough for whoever comes near."""
_FULL, _TURNED = 0, 2
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
        """The camera's next search.

        While a face is followed, of the whole image, or of it made small, turned or not (see `_ROUND`). Else of the
        whole image and, every other time, where that shows no face, of a turned one as well. Turns take turns.
        """
        number = self._searches[camera] = self._searches.get(camera, -1) + 1
        able = self._detector.turned_looks
        if following:
            step = number % _ROUND
            if step == _TURNED and able:
                return self._next_turn(camera, image, SMALL_PX)
            return self.now(image) if step == _FULL else self._small(image)
        boxes = self.now(image)
        if not boxes and able and number % _TURNED_WITHOUT_FACE == _TURNED_WITHOUT_FACE - 1:
            boxes = self._next_turn(camera, image)
        return boxes

    def _next_turn(self, camera: str, image: Image, long_px: int = WORK_PX) -> list[FaceBox]:
        turn = next(self._turns.setdefault(camera, cycle(TURNS)))
        with self._turn:
            return look_turned(self._detector, image, turn, long_px)

    def _small(self, image: Image) -> list[FaceBox]:
        with self._turn:
            return look_small(self._detector, image)

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
