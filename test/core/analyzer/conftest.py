"""The networks, loaded once, and views of one portrait."""

from __future__ import annotations

import numpy as np
import pytest

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.types import FacePrediction


@pytest.fixture(scope="session")
def analyzer() -> FaceAnalyzer:
    return FaceAnalyzer.load("edge", threads=1)


@pytest.fixture
def tracking(analyzer) -> FaceAnalyzer:
    """The same networks without memory of earlier tests."""
    return FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(detect_every=4, max_faces=3))


@pytest.fixture(scope="session")
def hopper(analyzer, photograph) -> FacePrediction:
    (face,) = analyzer(photograph)
    return face


@pytest.fixture(scope="session")
def pan(photograph) -> list[np.ndarray]:
    """Twelve views 400 px wide, each 8 px further right in the portrait."""
    return [np.ascontiguousarray(photograph[:, 8 * i : 8 * i + 400]) for i in range(12)]


@pytest.fixture(scope="session")
def empty() -> np.ndarray:
    """A view without a face: a soft gradient."""
    rows, columns = np.mgrid[0:600, 0:400]
    return np.dstack([rows * 255 // 600, columns * 255 // 400, rows // 4 + 40]).astype(np.uint8)


@pytest.fixture(scope="session")
def hidden(pan) -> np.ndarray:
    """One of the views with a grey sheet before the face: the same scene, and no face in it."""
    view = pan[2].copy()
    view[90:370, 110:370] = 150
    return view
