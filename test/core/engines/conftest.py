"""Crops of real faces, as engines take them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.config import Preprocessing
from aue_crl_core.engines import Engine, find_weights, make_engine
from aue_crl_core.engines.onnx import landmarks_path
from aue_crl_core.faces.crop import apply, cut, inverse, map_from_box, map_from_points
from aue_crl_core.faces.detection.choice import make_detector
from aue_crl_core.faces.landmarks import Seed, locate


class Faces(NamedTuple):
    """`rough` uint8 BxLxLx3 for the landmark net; `crops` uint8 BxSxSx3 and `points` float32 Bx68x2 in them."""

    rough: np.ndarray
    crops: np.ndarray
    points: np.ndarray


@pytest.fixture(scope="session")
def onnx_engine() -> Engine:
    """The shipped weights, on one thread."""
    return make_engine("edge", threads=1)


@pytest.fixture(scope="session")
def faces(onnx_engine: Engine, raf_images: list[np.ndarray]) -> Faces:
    """Five faces of real photographs."""
    detector = make_detector("cascade")
    seeds = [Seed(image, boxes[0]) for image in raf_images if (boxes := detector(image))][:5]
    assert len(seeds) == 5
    config, size = onnx_engine.config.preprocessing, onnx_engine.landmark_size
    located = locate(onnx_engine, Preprocessing(input_size=size), seeds, passes=2)
    maps = [map_from_points(face.points, config) for face in located]
    return Faces(
        np.stack([cut(s.image, map_from_box(s.around, size), size) for s in seeds]),
        np.stack([cut(s.image, m, config.input_size) for s, m in zip(seeds, maps, strict=True)]),
        np.stack([apply(inverse(m), f.points) for m, f in zip(maps, located, strict=True)]).astype(np.float32),
    )


@pytest.fixture
def own_weights(tmp_path: Path) -> Path:
    """A copy of the shipped ONNX model and its landmark net, to be spoiled."""
    shipped, copy = find_weights("edge"), tmp_path / "own.onnx"
    shutil.copy(shipped, copy)
    shutil.copy(landmarks_path(shipped), landmarks_path(copy))
    return copy
