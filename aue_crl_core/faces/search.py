"""Looking for new faces beside the work on those that are followed, so that a search holds up no image."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from aue_crl_core.faces.detector import FaceDetector
from aue_crl_core.types import FaceBox, Image


class FaceSearch:
    """One detector for two ways of searching: at once, and beside, on a thread of its own.

    The detector runs on one thread at a time: `now` waits for a search beside that is under way.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._turn = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._beside: dict[str, Future[list[FaceBox]]] = {}

    def now(self, image: Image) -> list[FaceBox]:
        """The faces of an image, as `FaceDetector` gives them."""
        with self._turn:
            return self._detector(image)

    def beside(self, camera: str, image: Image) -> None:
        """Begin to search an image of a camera; nothing where its last search is not done or not `found` yet."""
        if camera in self._beside:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="face search")
        self._beside[camera] = self._pool.submit(self.now, image)

    def found(self, camera: str) -> list[FaceBox]:
        """What a search beside has found in an earlier image of the camera, given once; empty while it goes on.

        Raises:
            ImageError: the detector refused that image.
        """
        search = self._beside.get(camera)
        if search is None or not search.done():
            return []
        del self._beside[camera]
        return search.result()

    def forget(self, camera: str | None = None) -> None:
        """Drop what searches of one camera, or of all, find."""
        if camera is None:
            self._beside.clear()
        else:
            self._beside.pop(camera, None)
