"""Between arrival and processing: the newest unread image of every camera, never a queue."""

from __future__ import annotations

import threading
from typing import Final

from aue_crl_ros.session.readings import PendingFrame

MAX_SLOTS: Final = 256
"""Most unread frames at a time; reached only where face crops of ever new ids arrive and nobody reads them."""


class LatestFrames:
    """One slot per camera, or per face where another detector cuts the faces out. Any thread may call anything."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, str], PendingFrame] = {}
        self._changed = threading.Condition()
        self._closed = False

    def offer(self, frame: PendingFrame) -> PendingFrame | None:
        """Put a frame into its slot; return the one that is dropped for it, if any.

        That is the unread frame of the same slot, else the oldest of all where `MAX_SLOTS` are taken, else, after
        `close`, the offered one itself.
        """
        key = frame.camera, frame.face_id
        with self._changed:
            if self._closed:
                return frame
            dropped = self._frames.pop(key, None)
            if dropped is None and len(self._frames) >= MAX_SLOTS:
                dropped = self._frames.pop(next(iter(self._frames)))
            self._frames[key] = frame
            self._changed.notify_all()
        return dropped

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a frame is there (True), or until `timeout_s` seconds have passed or `close` (False)."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed, timeout_s)
            return bool(self._frames)

    def take(self) -> list[PendingFrame]:
        """Empty all slots; their frames, in the order of arrival."""
        with self._changed:
            frames = list(self._frames.values())
            self._frames.clear()
        return frames

    def close(self) -> None:
        """Drop what is unread, take nothing more, and wake whoever waits."""
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()
