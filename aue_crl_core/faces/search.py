"""Searching for faces: at once or in the background; in the whole image, in it made small; at any roll."""

from __future__ import annotations

import math
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from aue_crl_core.faces.detection.scales import look_small
from aue_crl_core.faces.detection.working import FaceDetector
from aue_crl_core.types import FaceBox, Image

_TILTED: Final = math.radians(30)
_ROUND: Final = 5
"""While a face is followed, of so many searches the first is of the whole image; the others are of the image made
small, the third of them for heads at any roll: cheap, so that no frame waits for long, and enough for whoever comes
near."""
_FULL, _ROLLED = 0, 2
_ROLLED_WITHOUT_FACE: Final = 2
"""Where no face is followed, every so many-th search goes on at any roll."""


class FaceSearch:
    """One detector for two ways of searching: at once, and in the background, on a thread of its own.

    The detector runs on one thread at a time: `now` waits for a search that is under way.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._turn = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[list[FaceBox]]] = {}
        self._searches: dict[str, int] = {}

    def now(self, image: Image) -> list[FaceBox]:
        """The faces of an image, HxWx3 uint8 RGB: boxes in its pixels, as `FaceDetector` gives them."""
        with self._turn:
            return self._detector(image)

    def single(self, image: Image) -> list[FaceBox]:
        """Those of an image that stands alone; of the detector for heads at any roll, in the image made small, those
        that are tilted too far for the detector itself."""
        boxes = self.now(image)
        other = self._detector.at_any_roll
        with self._turn:
            tilted = [] if other is None else other.glance(image)
        return boxes + [box for box in tilted if abs(box.roll) > _TILTED]

    def at_any_roll(self, image: Image) -> list[FaceBox]:
        """What the detector for heads at any roll finds; nothing where there is none."""
        other = self._detector.at_any_roll
        with self._turn:
            return [] if other is None else other(image)

    def next(self, camera: str, image: Image, following: bool) -> list[FaceBox]:
        """The camera's next search.

        While a face is followed, of the whole image, or of it made small (see `_ROUND`). Else of the whole image, every
        other time at any roll as well, whatever the detector finds: it may be no face.
        """
        number = self._searches[camera] = self._searches.get(camera, -1) + 1
        if following:
            step = number % _ROUND
            if step == _FULL:
                return self.now(image)
            other = self._detector.at_any_roll if step == _ROLLED else None
            with self._turn:
                return look_small(self._detector, image) if other is None else other.glance(image)
        boxes = self.now(image)
        return boxes + self.at_any_roll(image) if number % _ROLLED_WITHOUT_FACE == _ROLLED_WITHOUT_FACE - 1 else boxes

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
        """Drop what is known of one camera, or of all: what background searches find, and how many there were."""
        for known in (self._running, self._searches):
            if camera is None:
                known.clear()
            else:
                known.pop(camera, None)
