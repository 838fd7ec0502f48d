"""A live view on a free port of this machine, and viewers of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
from live_viewers import Viewer

from aue_crl_core import facs
from aue_crl_core.dynamics.readings import FaceReading
from aue_crl_core.live.server import LiveView
from aue_crl_core.types import FaceBox, FacePrediction


@pytest.fixture
def look(view) -> Iterator[Callable[..., Viewer]]:
    """`look(path, host=None, method="GET")`, closed at the end."""
    viewers: list[Viewer] = []

    def open_viewer(path: str, **options: str) -> Viewer:
        viewers.append(Viewer(view, path, **options))
        return viewers[-1]

    yield open_viewer
    for viewer in viewers:
        viewer.close()


@pytest.fixture
def view() -> Iterator[LiveView]:
    with closing(LiveView("127.0.0.1:0")) as view:
        yield view


@pytest.fixture(scope="session")
def happy_face() -> FaceReading:
    """A happy face on the photograph; AU12 is there."""
    probabilities = {name: 0.94 if name == "happiness" else 0.01 for name in facs.BASIC_EXPRESSIONS}
    points = np.stack([np.linspace(180, 350, 68), np.linspace(160, 330, 68)], axis=1).astype(np.float32)
    units = {unit: 0.8 if unit == 12 else 0.1 for unit in facs.ACTION_UNITS}
    box = FaceBox(170, 150, 190, 190)
    return FaceReading(FacePrediction("f1", box, "happiness", 0.94, probabilities, units, points), frozenset(units))
