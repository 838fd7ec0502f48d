"""Searching for new faces in the background of the work on those that are followed: it holds up no image."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from aue_crl_core.faces.detector import FaceDetector
from aue_crl_core.types import FaceBox, Image


class FaceSearch:
    """One detector for two ways of searching: at once, and in the background, on a thread of its own.

    The detector runs on one thread at a time: `now` waits for a search that is under way.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._turn = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[list[FaceBox]]] = {}

    def now(self, image: Image) -> list[FaceBox]:
        """The faces of an image, HxWx3 uint8 RGB: boxes in its pixels, as `FaceDetector` gives them."""
        with self._turn:
            return self._detector(image)

    def start(self, camera: str, image: Image) -> None:
        """Begin to search an image of a camera, HxWx3 uint8 RGB, in the background.

        Nothing happens while its last search goes on or has not been fetched by `results`.
        """
        if camera in self._running:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="face search")
        self._running[camera] = self._pool.submit(self.now, image)

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
        """Drop what background searches of one camera, or of all, find."""
        if camera is None:
            self._running.clear()
        else:
            self._running.pop(camera, None)
