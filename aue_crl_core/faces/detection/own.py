"""This project's own detector: heads at any roll, in one look; asked beside YuNet, which knows upright ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.engines import WEIGHTS_DIRECTORY
from aue_crl_core.engines.base import check_intact
from aue_crl_core.errors import CheckpointError
from aue_crl_core.faces.detection.scales import NearLook, as_input, check_settings, look_small, look_twice
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX
from aue_crl_core.onnx_session import make_session
from aue_crl_core.types import FaceBox, Image

MODEL: Final = WEIGHTS_DIRECTORY / "detector.onnx"
STRIDES: Final = (8, 16, 32)
"""Pixels between the middles of cells, for small, middling and large faces."""
_FOREHEAD: Final = 1.2
"""A box's side is that of the face, from brow to chin, and a forehead, as YuNet's are."""
_LEAST_SCORE: Final = 0.35
_SUPPORT: Final = -3.0
"""What a box says for a face, in log odds beside the landmark net's, which must be that much surer. Chosen, as the
least score, on 1,145 pictures of the validation part in which YuNet and the landmark net see no face (3 then have a
false one; without support, at a least score of 0.45, 21) and on faces pasted at any roll, of which it loses none."""
_NEAR: Final = NearLook(120, 0.5, always=True)
"""Smaller than YuNet's: it learned no face of more than 240 px. And always, for it takes much for a small face."""
_OVERLAP: Final = 0.3
_WITHIN: Final = 0.7
"""A box of which that much is in a surer one, or that holds that much of one, is the same face seen at a wrong size."""
_SURE_OF_ROLL: Final = 0.75
"""Learned by squares, the vector of the roll is as long as the network is sure of it. Of pasted faces of the validation
part at rolls up to 180 degrees those of longer vectors were hardly ever (1 %) further off than 40 degrees."""


@dataclass
class OwnDetector:
    """Faces at any roll, from 20 px up to those that fill the image, of its luminance alone.

    `min_face_px` and `work_px` see `look_twice`, `threads` see `make_session`. Boxes are squares around the middle of
    the face; one whose roll is not sure has four, of rolls a right angle apart. `model_path` is a file of
    `research/own_detector.py` (None: the shipped one).

    Raises:
        CheckpointError: the file is not there, is damaged or holds no network.
        ConfigError: a setting out of range.
    """

    model_path: Path | None = None
    min_face_px: float = DEFAULT_MIN_FACE_PX
    work_px: int = 640
    score_threshold: float = _LEAST_SCORE
    threads: int | None = 1
    name: str = field(default="own", init=False)
    at_any_roll: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        check_settings(self.min_face_px, self.work_px, self.score_threshold, self.threads)
        path = MODEL if self.model_path is None else Path(self.model_path)
        if not path.is_file():
            where_from = ", with which this package comes" if self.model_path is None else ""
            raise CheckpointError(f"no face detector at {path}{where_from}")
        check_intact(path)
        self._logit = math.log(self.score_threshold / (1 - self.score_threshold))
        self._session: Any = make_session(path, threads=self.threads)

    def __call__(self, image: Image) -> list[FaceBox]:
        """See `FaceDetector`."""
        return look_twice(self._see, image, min_face_px=self.min_face_px, work_px=self.work_px, near=_NEAR)

    def glance(self, image: Image) -> list[FaceBox]:
        """The same, in one look at the image made small: a quarter of the time, faces from twice the size."""

        def once(small: Image) -> list[FaceBox]:
            return look_twice(self._see, small, min_face_px=self.min_face_px, work_px=self.work_px, near=None)

        return look_small(once, image)

    def _see(self, image: Image) -> list[FaceBox]:
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        levels = self._session.run(None, {"grey": as_input(grey[:, :, None])})
        cells = np.concatenate(
            [_read(level[0], stride, self._logit) for level, stride in zip(levels, STRIDES, strict=True)]
        )
        if len(cells) == 0:
            return []
        squares, scores = cells[:, :4].tolist(), cells[:, 4].tolist()
        boxes: list[FaceBox] = []
        kept: list[FaceBox] = []
        for i in np.asarray(cv2.dnn.NMSBoxes(squares, scores, 0.0, _OVERLAP)).reshape(-1):  # surest first
            box = FaceBox(*squares[i], score=scores[i])
            if not any(box.overlap(surer) > _WITHIN for surer in kept):
                kept.append(box)
                rolls = _rolls(*cells[i, 5:])
                support = _SUPPORT - math.log(len(rolls))  # in so many looks the landmark net errs that often
                boxes += [replace(box, roll=roll, support=support) for roll in rolls]
        return boxes


def _read(level: NDArray[np.float32], stride: int, least: float) -> NDArray[np.float64]:
    """Nx7: x, y, w, h in pixels, score, cosine and sine of the roll; of what the network says of the cells of one
    stride, 6xRxC: logit; x and y from the cell's middle, and log of the side, in strides; cosine and sine."""
    rows, columns = np.nonzero(level[0] > least)
    logit, dx, dy, log_side, cosine, sine = level[:, rows, columns].astype(np.float64)
    side = _FOREHEAD * np.exp(log_side) * stride
    x, y = (columns + 0.5 + dx) * stride - side / 2, (rows + 0.5 + dy) * stride - side / 2
    return np.stack([x, y, side, side, 1 / (1 + np.exp(-logit)), cosine, sine], axis=1)


def _rolls(cosine: float, sine: float) -> list[float]:
    """The roll, radians; with three others, a right angle apart, where the network's answer is between several."""
    turns = 1 if math.hypot(cosine, sine) >= _SURE_OF_ROLL else 4
    return [math.remainder(math.atan2(sine, cosine) + turn * math.pi / 2, 2 * math.pi) for turn in range(turns)]
