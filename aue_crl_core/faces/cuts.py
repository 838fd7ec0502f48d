"""Cuts: whether an image of a camera or film still shows the scene of the one before."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.types import Image

_Small = NDArray[np.float32]
_Part = tuple[slice, slice]

_WIDTH, _HEIGHT, _PARTS = 64, 48, 6
_REACH: Final = 0.25
"""How far a part of the scene may move from one image to the next, in sides of the image."""
_SAME: Final = 0.84
_SAME_LIGHT: Final = 0.15
_SHARE: Final = 0.38
"""A part is the same from this correlation on, where its brightness and colour changed (log of the ratio) like those of
the other parts; fewer of such parts are a cut. Chosen on pairs of 154 photographs: 97 of 100 pairs of two are cuts (of
people at one place, before soft backgrounds, all of 96), and none of a thousand of one that was moved by a quarter,
enlarged by a fifth, smeared by a tenth or made dark, or of which a third was hidden, and back. Twice the light, with
much of it too bright, is taken for a cut in 15 of 100."""
_FLAT: Final = 3.0
_LEAST_PARTS: Final = 2
_MIDDLE: Final = (slice(_HEIGHT // 4, 3 * _HEIGHT // 4), slice(_WIDTH // 4, 3 * _WIDTH // 4))
_ONLY_MOVED: Final = 0.95
"""Where the middle is found again with this correlation, nobody need look at parts: it saves their time."""


class CutDetector:
    """Called with each image of one camera in turn; true where hardly a part of it is found again in the one before.

    Light that changes is no cut, nor is an image without structure (black, covered): what follows it is compared with
    what was seen before it.
    """

    def __init__(self) -> None:
        self._before: _Small | None = None

    def __call__(self, image: Image) -> bool:
        """Whether this is another scene; `image` HxWx3 uint8 RGB."""
        now = _small(image)
        parts = _structured(now)
        if len(parts) < _LEAST_PARTS:
            return False
        before, self._before = self._before, now
        if before is None or _best(before, now[_MIDDLE])[0] > _ONLY_MOVED:
            return False
        changes = [change for part in parts if (change := _change(before, now, part)) is not None]
        if not changes:
            return True
        unlike = np.abs(changes - np.median(changes, axis=0)).max(axis=1)
        return int((unlike < _SAME_LIGHT).sum()) < _SHARE * len(parts)


def _small(image: Image) -> _Small:
    """48x64x3 float32, RGB, 0-255; of large images only every n-th pixel is looked at."""
    step = max(1, min(image.shape[:2]) // (2 * _HEIGHT))
    thinned = np.ascontiguousarray(image[::step, ::step])
    return cv2.resize(thinned, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)


def _structured(small: _Small) -> list[_Part]:
    """The parts in which there is something to be found again."""
    height, width = _HEIGHT // _PARTS, _WIDTH // _PARTS
    whole = small[: _PARTS * height, : _PARTS * width].reshape(_PARTS, height, _PARTS, width, 3)
    found = np.argwhere(whole.std(axis=(1, 3)).max(axis=2) >= _FLAT).tolist()
    return [(slice(y * height, (y + 1) * height), slice(x * width, (x + 1) * width)) for y, x in found]


def _change(before: _Small, now: _Small, part: _Part) -> NDArray[np.float64] | None:
    """How the light of a part has changed, log of the ratio per channel; None where the part was not there before."""
    what = now[part]
    reach = [round(_REACH * side) for side in (_HEIGHT, _WIDTH)]
    where = before[tuple(slice(max(0, s.start - r), s.stop + r) for s, r in zip(part, reach, strict=True))]
    correlation, x, y = _best(where, what)
    if correlation <= _SAME:
        return None
    found = where[y : y + what.shape[0], x : x + what.shape[1]]
    light, light_before = (pixels.mean(axis=(0, 1), dtype=np.float64) + 10 for pixels in (what, found))
    return np.log(light / light_before)


def _best(where: _Small, what: _Small) -> tuple[float, int, int]:
    """The largest normalised correlation, in [-1, 1], of `what` with a part of `where`, and that part's corner."""
    _, correlation, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(where, what, cv2.TM_CCOEFF_NORMED))
    return correlation, x, y
