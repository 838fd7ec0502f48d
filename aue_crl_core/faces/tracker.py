"""Which face is which from frame to frame: bookkeeping on boxes and stamps, no image operations."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import Final, Literal, Protocol

import numpy as np

from aue_crl_core.config import require
from aue_crl_core.types import FaceBox, Points

Due = Literal["", "routine", "at once"]
"""Whether a search for faces is due, and whether it can wait for the next frames."""

_REACH: Final = 1.0
_MAX_SIZE_RATIO: Final = 2.0
_STEADY_IOU: Final = 0.5
"""A face that was followed and overlaps its last box by less has jumped."""
_FIRST_LETTER: Final = ascii_lowercase.index("f")
_MOTION_S: Final = 0.25
"""Time constant over which a track's motion is averaged: what two or three frames in error say hardly counts."""


class TrackableFace(Protocol):
    """A face of the current frame, in image pixels."""

    @property
    def box(self) -> FaceBox:
        """The face's box."""
        ...

    @property
    def points(self) -> Points:
        """68x2 float32 face points."""
        ...

    @property
    def confirmed(self) -> bool:
        """Whether a detector found it in this frame; False where only points were followed to it."""
        ...


@dataclass
class _Track:
    number: int
    box: FaceBox
    points: Points
    seen_s: float
    seen_frame: int
    velocity: tuple[float, float] = (0.0, 0.0)
    """Of the box's centre, image pixels a second."""
    doubtful: bool = False
    """It has jumped to where no detector confirmed it, perhaps off the face."""

    def predicted(self, now: float) -> FaceBox:
        """The box where it would be by now if it had gone on as before."""
        away = now - self.seen_s
        return replace(self.box, x=self.box.x + self.velocity[0] * away, y=self.box.y + self.velocity[1] * away)

    def scale(self, across: float, down: float) -> None:
        """The image has become so many times as wide and high."""
        b, (x, y) = self.box, self.velocity
        self.box = replace(b, x=b.x * across, y=b.y * down, w=b.w * across, h=b.h * down)
        self.points = ((self.points + 0.5) * (across, down) - 0.5).astype(np.float32)
        self.velocity = (x * across, y * down)

    def see(self, face: TrackableFace, now: float, frame: int) -> None:
        """Enter where the face is now."""
        passed = now - self.seen_s
        if passed > 0:
            weight = -math.expm1(-passed / _MOTION_S)
            steps = (
                face.box.x - self.box.x + (face.box.w - self.box.w) / 2,
                face.box.y - self.box.y + (face.box.h - self.box.h) / 2,
            )
            x, y = (v + weight * (step / passed - v) for v, step in zip(self.velocity, steps, strict=True))
            self.velocity = (x, y)
        self.doubtful = not face.confirmed and face.box.iou(self.box) < _STEADY_IOU
        self.box, self.points, self.seen_s, self.seen_frame = face.box, face.points, now, frame


class FaceTracker:
    """Gives the faces of one camera ids that last.

    A track is expected where its motion takes it by the frame's stamp: so two people who cross keep their ids. A face
    takes the id of the live track whose expected box it overlaps most (intersection over union of at least `min_iou`,
    greedily from the largest, tracks seen in the last frame first); of the rest, faces take the track expected nearest
    within one box side, of at most twice or half the size, which covers sudden motion, and then the one last seen that
    near: who has stopped or turned back. The others begin new tracks. A track ends when it has been unseen for more
    than `lost_after_s` seconds. Ids are `id_prefix` and a number that is never given twice. The caller removes
    duplicate boxes of one face before `update`.

    A face that was followed by its points alone and jumped is doubtful: it is seen no more, unless a detector confirms
    it in the next frame. A `cut` ends every track.

    Time is that of the frames' stamps, in seconds. A step back of up to `lost_after_s` (frames out of order) counts as
    no time at all; a longer one (a bag that starts over) ends every track.
    """

    def __init__(
        self, detect_every: int = 5, lost_after_s: float = 1.0, min_iou: float = 0.3, id_prefix: str = "f"
    ) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of its range, or ids would not begin with an ASCII letter (REP-155).
        """
        self.reconfigure(detect_every, lost_after_s)
        require(0 < min_iou <= 1, "min_iou", "be in (0, 1]", min_iou)
        require(
            re.fullmatch("[A-Za-z][A-Za-z0-9]*", id_prefix) is not None,
            "id_prefix",
            "begin with a letter and hold letters and digits only",
            id_prefix,
        )
        self._min_iou = min_iou
        self._id_prefix = id_prefix
        self._tracks: list[_Track] = []
        self._born = 0
        self._frames = 0
        self._stamp_s: float | None = None
        self._clock_s = 0.0
        self._ended: tuple[str, ...] = ()
        self._cut = False
        self._size: tuple[int, int] | None = None

    def reconfigure(self, detect_every: int, lost_after_s: float) -> None:
        """Search more or less often, and lose faces sooner or later, from the next frame on.

        Raises:
            ConfigError: a setting is out of its range; both then stay as they were.
        """
        require(detect_every >= 1, "detect_every", "be at least 1 frame", detect_every)
        require(0 < lost_after_s < math.inf, "lost_after_s", "be above 0 and finite", lost_after_s)
        self._detect_every = detect_every
        self._lost_after_s = lost_after_s

    @property
    def live_ids(self) -> tuple[str, ...]:
        """Ids of the tracks that have not ended, oldest first; some may be unseen at the moment."""
        return tuple(self._id(track) for track in self._tracks)

    @property
    def ended_ids(self) -> tuple[str, ...]:
        """Ids that the latest `update` or `reset` ended."""
        return self._ended

    def cut(self) -> None:
        """The next frame shows another scene: nobody is followed into it, and `update` ends every track."""
        self._cut = True

    def resize(self, width: int, height: int) -> bool:
        """The next frame is so large, pixels; if the last one was not, its tracks go on in the pixels of this one.

        Returns whether it was another size.
        """
        before, self._size = self._size, (width, height)
        if before in (None, self._size):
            return False
        across, down = width / before[0], height / before[1]
        for track in self._tracks:
            track.scale(across, down)
        return True

    def seeds(self) -> list[tuple[str, Points]]:
        """Id and last 68x2 points (image pixels) of every live track, oldest first: where to look for it next.

        Of a doubtful one none: a detector confirms it in the next frame, or it is not seen. None after a cut.
        """
        return [(self._id(track), track.points) for track in self._tracks if not (track.doubtful or self._cut)]

    def detection_due(self, frame_time_s: float) -> Due:
        """Whether the frame of that stamp should be searched for faces anew. A question only: it changes nothing.

        `at once`: no face was seen in the last frame, or one is doubtful, or so much time has passed, or time has so
        jumped back, that the tracks will have ended by then, or there was a cut. `routine`: on every `detect_every`-th
        frame, and when a track was not seen in the last frame. Else empty.
        """
        now = self._advanced(frame_time_s)
        seen = [track for track in self._tracks if track.seen_frame == self._frames]
        if (
            now is None
            or not any(now - track.seen_s <= self._lost_after_s for track in seen)
            or any(track.doubtful for track in seen)
        ):
            return "at once"
        unseen = any(track.seen_frame < self._frames for track in self._tracks)
        return "routine" if unseen or self._frames % self._detect_every == 0 else ""

    def update(self, faces: Sequence[TrackableFace], time_s: float) -> list[str]:
        """Enter the faces found in the frame of stamp `time_s`; return their ids, in the order of `faces`.

        Call it once a frame, with an empty sequence too: that is how tracks end.

        Raises:
            ConfigError: `time_s` is not finite.
        """
        now = self._advanced(time_s)
        if now is None:
            self.reset()
            now = 0.0
        else:
            self._end([track for track in self._tracks if now - track.seen_s > self._lost_after_s])
        self._clock_s, self._stamp_s = now, time_s
        self._frames += 1

        matched = self._match(faces, now)
        # New numbers go from left to right, so that the order of `faces` decides nothing.
        for index in sorted(range(len(faces)), key=lambda i: faces[i].box.as_list()):
            if index not in matched:
                self._born += 1
                matched[index] = _Track(self._born, faces[index].box, faces[index].points, now, self._frames)
                self._tracks.append(matched[index])
        for index, track in matched.items():
            track.see(faces[index], now, self._frames)
        return [self._id(matched[index]) for index in range(len(faces))]

    def reset(self) -> None:
        """End every track and forget the time; numbers go on."""
        self._end(self._tracks)
        self._frames, self._stamp_s, self._clock_s, self._cut = 0, None, 0.0, False

    def _advanced(self, time_s: float) -> float | None:
        """The tracker's own clock (never back, in seconds) at the stamp; None where time starts over, or the scene."""
        require(math.isfinite(time_s), "time_s", "be finite", time_s)
        if self._cut:
            return None
        if self._stamp_s is None:
            return self._clock_s
        step = time_s - self._stamp_s
        return None if step < -self._lost_after_s else self._clock_s + max(0.0, step)

    def _id(self, track: _Track) -> str:
        return f"{self._id_prefix}{track.number}"

    def _end(self, tracks: Sequence[_Track]) -> None:
        ended = {track.number for track in tracks}
        self._ended = tuple(self._id(track) for track in self._tracks if track.number in ended)
        self._tracks = [track for track in self._tracks if track.number not in ended]

    def _match(self, faces: Sequence[TrackableFace], now: float) -> dict[int, _Track]:
        """Index of a face -> the live track that it continues."""
        overlapping, near, seen_near = [], [], []
        for track in self._tracks:
            expected = track.predicted(now)
            for index, face in enumerate(faces):
                tie = (track.number, face.box.as_list(), index)
                overlap = face.box.iou(expected)
                if overlap >= self._min_iou:
                    hidden = track.seen_frame < self._frames - 1
                    overlapping.append(((hidden, -overlap), tie, track))
                for pairs, place in ((near, expected), (seen_near, track.box)):
                    distance = _distance(face.box, place)
                    if distance <= _REACH:
                        pairs.append((distance, tie, track))
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for pairs in (overlapping, near, seen_near):
            for _, (number, _, index), track in sorted(pairs, key=lambda pair: pair[:2]):
                if index not in matched and number not in taken:
                    matched[index] = track
                    taken.add(number)
        return matched


def _distance(a: FaceBox, b: FaceBox) -> float:
    """Between the centres, in mean box sides; infinite where the sizes differ too much to be one face."""
    side_a, side_b = math.sqrt(a.w * a.h), math.sqrt(b.w * b.h)
    small, large = sorted((side_a, side_b))
    if large > _MAX_SIZE_RATIO * small or large == 0:
        return math.inf
    apart = math.hypot(a.x + a.w / 2 - b.x - b.w / 2, a.y + a.h / 2 - b.y - b.h / 2)
    return apart / ((side_a + side_b) / 2)


def id_prefix(number: int) -> str:
    """f, g, ..., z, a, ..., e for cameras 0 to 25, then two letters and more: letters only, so ids stay distinct."""
    letter = ascii_lowercase[(number + _FIRST_LETTER) % 26]
    return letter if number < 26 else id_prefix(number // 26 - 1) + letter
