"""Predictions to draw and store, and videos made of real photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from aue_crl_core import facs
from aue_crl_core.types import FaceBox, FacePrediction

HOPPER_POINTS = np.array(
    [
        (173, 200),
        (175, 217),
        (177, 234),
        (180, 253),
        (186, 273),
        (193, 290),
        (202, 303),
        (214, 315),
        (237, 329),
        (270, 334),
        (303, 325),
        (325, 309),
        (335, 297),
        (349, 266),
        (352, 246),
        (354, 227),
        (355, 209),
        (188, 178),
        (195, 172),
        (207, 167),
        (224, 167),
        (244, 168),
        (284, 165),
        (303, 163),
        (319, 162),
        (332, 165),
        (340, 172),
        (265, 188),
        (266, 208),
        (267, 226),
        (268, 238),
        (249, 248),
        (257, 252),
        (268, 253),
        (279, 251),
        (286, 247),
        (205, 193),
        (213, 188),
        (227, 185),
        (244, 193),
        (232, 196),
        (217, 198),
        (288, 192),
        (302, 183),
        (316, 183),
        (324, 188),
        (313, 192),
        (300, 192),
        (232, 281),
        (247, 273),
        (257, 271),
        (268, 272),
        (278, 270),
        (288, 271),
        (303, 277),
        (288, 288),
        (279, 291),
        (268, 292),
        (258, 292),
        (248, 290),
        (236, 280),
        (259, 279),
        (268, 279),
        (276, 278),
        (299, 277),
        (276, 278),
        (268, 279),
        (259, 279),
    ],
    np.float32,
)
"""The 68 face points of `photograph`, found with mediapipe's face mesh."""

Predict = Callable[..., FacePrediction]
WriteVideo = Callable[..., Path]


@pytest.fixture(scope="session")
def predict() -> Predict:
    """Makes a prediction: `predict(face_id, expression, shift=(x, y), scale=..., state=..., vocabulary=...)`."""

    def make(
        face_id: str = "f1",
        expression: str = "happiness",
        *,
        confidence: float = 0.875,
        shift: tuple[float, float] = (0, 0),
        scale: float = 1.0,
        state: str = "ok",
        vocabulary: str = "basic",
    ) -> FacePrediction:
        names = facs.expressions(vocabulary)
        rest = (1 - confidence) / (len(names) - 1)
        prior = dict(zip(names, facs.prior_levels(vocabulary), strict=True))[expression]
        points = (HOPPER_POINTS * scale + np.array(shift)).astype(np.float32)
        return FacePrediction(
            face_id=face_id,
            box=FaceBox.around(points),
            expression=expression,
            confidence=confidence,
            probabilities={name: confidence if name == expression else rest for name in names},
            action_units={unit: level.start for unit, level in zip(facs.ACTION_UNITS, prior, strict=True)},
            landmarks=points,
            state=state,
        )

    return make


@pytest.fixture(scope="session")
def write_video() -> WriteVideo:
    """Encodes HxWx3 uint8 RGB frames: `write_video(path, frames, fps=25, codec="libx264", **container_options)`."""
    av = pytest.importorskip("av")

    def write(
        path: Path, frames: Sequence[np.ndarray], *, fps: int = 25, codec: str = "libx264", **options: str
    ) -> Path:
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=fps)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.gop_size = 1
            stream.bit_rate = 4_000_000
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture(scope="session")
def moving_frames(photograph: np.ndarray) -> list[np.ndarray]:
    """20 different frames, 160x128: the photograph, pushed 6 pixels to the right from one frame to the next."""
    small = np.ascontiguousarray(photograph[40:200, 190:318])
    return [np.ascontiguousarray(np.roll(small, 6 * index, axis=1)) for index in range(20)]
