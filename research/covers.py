"""Covers drawn on faces: masks, hands, dark glasses, patches of anything, on crops of 96 pixels whose 68 points are
known, so that what is hidden is known too. `visibility.py` learns from them."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.types import Image, Points

SIDE: Final = 96
Kind = Literal["nothing", "mouth", "eyes", "both", "elsewhere", "frames"]
KINDS: Final[dict[Kind, float]] = {
    "nothing": 0.35,
    "mouth": 0.22,
    "eyes": 0.2,
    "both": 0.05,
    "elsewhere": 0.12,
    "frames": 0.06,
}
"""How often a face is covered there; "frames" are clear glasses, which hide nothing."""
_COLOURS: Final = ((235, 240, 245), (150, 190, 215), (30, 30, 35), (90, 120, 160), (200, 200, 200), (120, 40, 50))
"""Of usual masks."""
_EYES: Final = (slice(36, 42), slice(42, 48))
_MOUTH, _LIPS = slice(48, 68), slice(48, 60)
_MOSTLY: Final = 0.75
"""A part of which so much is covered is hidden, and one of which a quarter is, is seen; between is no answer."""

Picture = NDArray[np.float32]
Shape = NDArray[np.float32]
"""SIDE x SIDE: how much of each pixel a cover takes, in [0, 1]."""


class Covered(NamedTuple):
    """`image` SIDE x SIDE x 3 uint8 RGB; whether `eyes` and `mouth` are visible: 1, 0, or NaN where they are half."""

    image: Image
    eyes: float
    mouth: float


def covered(rng: np.random.Generator, image: Image, points: Points, others: NDArray[np.uint8], kind: Kind) -> Covered:
    """A face with a cover drawn on it; cloth may look like any part of `others` (NxSxSx3)."""
    drawn = _Drawing(rng, image.astype(np.float32), np.asarray(points, np.float64), others)
    if kind in ("mouth", "both"):
        drawn.one_of((0.5, drawn.mask), (0.2, drawn.hand, points[_MOUTH]), (0.3, drawn.patch, points[_MOUTH]))
    if kind in ("eyes", "both"):
        drawn.one_of((0.55, drawn.dark_glasses), (0.15, drawn.hand, points[36:48]), (0.3, drawn.patch, points[36:48]))
    if kind == "elsewhere":
        middle = points[[19, 24, 8, 2, 14, 30, 57]][rng.integers(7)] + rng.normal(0, 6, 2)
        place = middle + rng.normal(0, 1, (8, 2)) * rng.uniform(3, 12)
        drawn.one_of((0.4, drawn.hand, place), (0.6, drawn.patch, place))
    if kind == "frames":
        drawn.frames()
    eyes = [_share(drawn.hidden, points[eye]) for eye in _EYES]
    mouth = _share(drawn.hidden, points[_LIPS])
    return Covered(
        np.clip(drawn.image, 0, 255).astype(np.uint8), _visible(min(eyes), max(eyes)), _visible(mouth, mouth)
    )


def _visible(least: float, most: float) -> float:
    return 1.0 if most < 1 - _MOSTLY else 0.0 if least > _MOSTLY else np.nan


def _share(hidden: Shape, points: NDArray[np.floating]) -> float:
    """How much of the part within some points is hidden, in [0, 1]."""
    part = _filled(_hull(points))
    return float((hidden * part).sum() / max(part.sum(), 1e-6))


def _hull(points: NDArray[np.floating]) -> NDArray[np.float64]:
    return cv2.convexHull(points.astype(np.float32)).reshape(-1, 2).astype(np.float64)


def _filled(polygon: NDArray[np.floating], soft: float = 0.0) -> Shape:
    shape = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(shape, [np.round(polygon * 16).astype(np.int32)], 1.0, lineType=cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(shape, (0, 0), soft) if soft > 0 else shape


def _pixel(place: NDArray[np.floating]) -> tuple[int, int]:
    x, y = np.round(place).astype(int).tolist()
    return x, y


class _Drawing:
    """A face, what has been drawn on it, and what that hides."""

    def __init__(
        self, rng: np.random.Generator, image: Picture, points: NDArray[np.float64], others: NDArray[np.uint8]
    ) -> None:
        self.rng, self.points, self.others = rng, points, others
        self.image = np.ascontiguousarray(image, np.float32)
        self.hidden: Shape = np.zeros((SIDE, SIDE), np.float32)
        cheeks = [np.clip(np.round((points[i] + points[30]) / 2), 0, SIDE - 1).astype(int) for i in (2, 14)]
        self.skin = np.mean([image[y, x] for x, y in cheeks], axis=0)

    def one_of(self, *choices: tuple) -> None:
        """(share, function, its arguments...)"""
        chosen = self.rng.choice(len(choices), p=[choice[0] for choice in choices])
        choices[chosen][1](*choices[chosen][2:])

    def mask(self) -> None:
        """Cloth from the nose down to the jaw; now and then it leaves the nose free."""
        rng, p = self.rng, self.points
        nose = (p[27] + p[28]) / 2 if rng.random() < 0.2 else p[rng.choice([28, 29, 30, 33])]
        jaw = p[int(rng.integers(1, 4)) : 17 - int(rng.integers(1, 4))]
        jaw = jaw.mean(axis=0) + (jaw - jaw.mean(axis=0)) * rng.uniform(1.0, 1.15)
        edge = [0.4 * end + 0.6 * nose + rng.normal(0, 2, 2) for end in (jaw[-1], jaw[0])]
        cloth = self._cloth() + np.linspace(1, -1, SIDE)[:, None, None] * rng.uniform(0, 25)
        self._put(_filled(np.concatenate([jaw, [edge[0], nose, edge[1]]]), rng.uniform(0, 1)), cloth)
        if rng.random() < 0.5:
            colour = cloth.reshape(-1, 3).mean(axis=0).tolist()
            for end, ear in ((jaw[0], p[0] + (-6, -4)), (jaw[-1], p[16] + (6, -4))):
                cv2.line(self.image, _pixel(end), _pixel(ear), colour, 1, cv2.LINE_AA)

    def hand(self, over: NDArray[np.floating]) -> None:
        """Two to four fingers in the face's own colour, from one side or from below."""
        rng, hull = self.rng, _hull(over)
        size = float(np.ptp(hull, axis=0).max())
        skin = np.clip(self.skin * rng.uniform(0.75, 1.2) + rng.normal(0, 6, 3), 0, 255)
        angle = rng.uniform(-0.6, 0.6) + (0 if rng.random() < 0.6 else np.pi / 2)
        along = np.array([np.cos(angle), np.sin(angle)])
        across, fingers = np.array([-along[1], along[0]]), int(rng.integers(2, 5))
        width = max(size * rng.uniform(0.45, 0.8) / fingers * 1.6, 5)
        for i in range(fingers):
            middle = hull.mean(axis=0) + across * (i - (fingers - 1) / 2) * width * 0.95 + along * rng.normal(0, 2)
            finger = np.zeros((SIDE, SIDE), np.float32)
            tip = middle - along * size * rng.uniform(0.8, 1.3) * 0.75
            cv2.line(finger, _pixel(tip), _pixel(middle + along * 60), 1.0, round(width), cv2.LINE_AA)
            self._put(finger, np.ones((SIDE, SIDE, 3), np.float32) * (skin + rng.normal(0, 5, 3)))
            shadow = np.clip(cv2.GaussianBlur(finger, (0, 0), 1.2) - finger, 0, 1) * rng.uniform(10, 50)
            self.image = self.image - shadow[..., None]
        self.image = self.image + (self._clouds(6) * self.hidden)[..., None]

    def patch(self, over: NDArray[np.floating]) -> None:
        """A rectangle or a blob of anything."""
        rng, hull = self.rng, _hull(over)
        low, high = hull.min(axis=0), hull.max(axis=0)
        middle, reach = (low + high) / 2 + rng.normal(0, 2, 2), (high - low) / 2 * rng.uniform(1.1, 2.0, 2)
        if rng.random() < 0.5:
            outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach
        else:
            angles = np.linspace(0, 2 * np.pi, int(rng.integers(6, 14)), endpoint=False)
            ragged = rng.uniform(0.85, 1.25, len(angles)) * 1.25
            outline = np.stack([np.cos(angles) * reach[0] * 1.1, np.sin(angles) * reach[1] * 1.3], axis=1)
            outline = outline * ragged[:, None]
        turn = rng.normal(0, 0.25)
        turned = outline @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]).T
        self._put(_filled(turned + middle, rng.uniform(0, 1.5)), self._cloth())

    def dark_glasses(self) -> None:
        """Two lenses, round or not, with a bridge and temples."""
        rng, p = self.rng, self.points
        dark, tint, let_by = rng.uniform(0, 75), rng.normal(0, 8, 3), rng.uniform(0.88, 1)
        width = float(np.linalg.norm(p[39] - p[36]))
        reach = np.array([rng.uniform(0.75, 1.05), rng.uniform(0.5, 0.95)]) * width
        lower, angular = rng.uniform(-0.05, 0.25) * width, rng.random() < 0.5
        for eye in _EYES:
            angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
            lens = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            if angular:
                lens = np.array([[-1, -0.8], [1, -1], [0.9, 0.8], [0, 1], [-0.9, 0.8]])
            glass = np.ones((SIDE, SIDE, 3), np.float32) * (dark + tint)
            glass = glass + np.linspace(-1, 1, SIDE)[:, None, None] * rng.uniform(0, 40)
            if rng.random() < 0.4:  # what they reflect
                glass = glass + np.clip(self._clouds(40), 0, 120)[..., None]
            self._put(_filled(lens * reach + p[eye].mean(axis=0) + (0, lower), 0.4) * let_by, glass)
        colour = [float(max(dark - 10, 0))] * 3
        cv2.line(
            self.image, _pixel(p[39] - (0, 2)), _pixel(p[42] - (0, 2)), colour, int(rng.integers(1, 4)), cv2.LINE_AA
        )
        for inner, ear, side in ((p[36], p[0], -1), (p[45], p[16], 1)):
            start, end = np.add(inner, (side * reach[0] / 2, -2)), np.add(ear, (2 * side, -4))
            cv2.line(self.image, _pixel(start), _pixel(end), colour, int(rng.integers(1, 3)), cv2.LINE_AA)

    def frames(self) -> None:
        """Clear glasses."""
        rng, p = self.rng, self.points
        width, colour = float(np.linalg.norm(p[39] - p[36])), [float(rng.uniform(0, 120))] * 3
        reach = int(rng.uniform(0.8, 1.1) * width), int(rng.uniform(0.55, 0.9) * width)
        for eye in _EYES:
            middle = _pixel(np.add(p[eye].mean(axis=0), (0, 2)))
            cv2.ellipse(self.image, middle, reach, 0, 0, 360, colour, int(rng.integers(1, 3)), cv2.LINE_AA)

    def _put(self, shape: Shape, cover: Picture) -> None:
        self.image = np.ascontiguousarray(self.image * (1 - shape[..., None]) + cover * shape[..., None], np.float32)
        self.hidden = np.maximum(self.hidden, shape)

    def _clouds(self, strength: float) -> Picture:
        cells = int(self.rng.integers(2, 7))
        noise = self.rng.normal(0, strength, (cells, cells)).astype(np.float32)
        return cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)

    def _cloth(self) -> Picture:
        """A mask's colour, any, the skin's, or a part of another picture; shaded, now and then in stripes."""
        rng = self.rng
        kind = rng.random()
        if kind >= 0.8:
            other, size = self.others[rng.integers(len(self.others))].astype(np.float32), int(rng.integers(24, SIDE))
            y, x = rng.integers(0, SIDE - size + 1, 2)
            part = cv2.resize(other[y : y + size, x : x + size], (SIDE, SIDE))
            return part[::-1] if rng.random() < 0.5 else part
        if kind < 0.35:
            base = np.array(_COLOURS[rng.integers(len(_COLOURS))]) + rng.normal(0, 20, 3)
        elif kind < 0.6:
            base = rng.uniform(0, 255, 3)
        else:
            base = self.skin + rng.normal(0, 12, 3)
        slopes = np.linspace(-1, 1, SIDE)
        cloth = base + self._clouds(rng.uniform(3, 25))[..., None]
        cloth = cloth + slopes[:, None, None] * rng.normal(0, 18) + slopes[None, :, None] * rng.normal(0, 18)
        if rng.random() < 0.4:
            rows, columns = np.mgrid[:SIDE, :SIDE]
            angle, width = rng.normal(0, 0.3), rng.uniform(0.4, 1.6)
            wave = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) * width) * rng.uniform(2, 18)
            cloth = cloth + wave[..., None]
        if rng.random() < 0.3:
            cloth = cloth + rng.normal(0, rng.uniform(2, 12), (SIDE, SIDE, 1))
        return cloth.astype(np.float32)
