"""Sessions on the shipped networks, and images for them."""

from __future__ import annotations

import numpy as np
import pytest
from session_bench import SETTINGS, Bench

from aue_crl_core.analyzer import FaceAnalyzer


@pytest.fixture(scope="session")
def loaded() -> FaceAnalyzer:
    return FaceAnalyzer.load("edge", threads=1)


@pytest.fixture
def bench(loaded) -> Bench:
    return Bench(loaded, SETTINGS)


@pytest.fixture(scope="session")
def face_crop(loaded, photograph) -> np.ndarray:
    (face,) = loaded(photograph)
    x, y, w, h = (int(v) for v in face.box.as_list())
    return np.ascontiguousarray(photograph[max(0, y - h // 5) : y + h, max(0, x - w // 10) : x + w + w // 10])


@pytest.fixture(scope="session")
def empty() -> np.ndarray:
    rows, columns = np.mgrid[0:240, 0:320]
    return np.dstack([rows, columns * 255 // 320, rows // 4 + 40]).astype(np.uint8)
