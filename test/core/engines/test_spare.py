"""Memory that runs out: fewer faces at a time, then the processor, the same answers all along."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from aue_crl_core.engines import Engine, EngineOutput
from aue_crl_core.engines.spare import SparingEngine
from aue_crl_core.errors import DeviceMemoryError


class Crowded:
    """The shipped engine on a device that has room for `most` faces at once."""

    def __init__(self, engine: Engine, most: int, device: str = "cuda:0") -> None:
        self._engine, self._most, self.device = engine, most, device
        self.name, self.config, self.landmark_size = engine.name, engine.config, engine.landmark_size
        self.precision = engine.precision
        self.asked: list[int] = []
        self.closed = False

    def landmarks(self, crops):
        self._take(len(crops))
        return self._engine.landmarks(crops)

    def predict(self, crops, points):
        self._take(len(crops))
        return self._engine.predict(crops, points)

    def close(self):
        self.closed = True

    def _take(self, count):
        self.asked.append(count)
        if count > self._most:
            raise DeviceMemoryError(f"{self.device} must have memory for {count} faces at once")


def same(ours: EngineOutput, theirs: EngineOutput) -> None:
    for name in EngineOutput.__slots__:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-5)


def test_with_room_for_fewer_faces_they_are_given_in_parts_and_answered_alike(onnx_engine, faces, caplog):
    crowded = Crowded(onnx_engine, most=2)
    engine = SparingEngine(crowded)
    same(engine.predict(faces.crops, faces.points), onnx_engine.predict(faces.crops, faces.points))
    assert crowded.asked == [5, 2, 2, 1]
    assert "no memory for 5 faces at once on cuda:0; now at most 2" in caplog.text


def test_what_did_not_fit_is_not_tried_again(onnx_engine, faces):
    crowded = Crowded(onnx_engine, most=2)
    engine = SparingEngine(crowded)
    engine.predict(faces.crops, faces.points)
    crowded.asked.clear()
    points, scores = engine.landmarks(faces.rough)
    assert crowded.asked == [2, 2, 1]
    np.testing.assert_allclose(points, onnx_engine.landmarks(faces.rough)[0], atol=1e-3)
    assert scores.shape == (5,)


def test_a_device_without_room_for_one_face_is_left_for_the_spare(onnx_engine, faces, caplog):
    crowded = Crowded(onnx_engine, most=0)
    engine = SparingEngine(crowded, lambda: onnx_engine)
    same(engine.predict(faces.crops[:3], faces.points[:3]), onnx_engine.predict(faces.crops[:3], faces.points[:3]))
    assert crowded.asked == [3, 1]
    assert crowded.closed
    assert engine.device == "cpu"
    assert "the networks run on cpu now" in caplog.text
    crowded.asked.clear()
    engine.predict(faces.crops, faces.points)
    assert crowded.asked == []


def test_without_a_spare_the_error_leaves(onnx_engine, faces):
    with pytest.raises(DeviceMemoryError, match="memory for 1 faces at once"):
        SparingEngine(Crowded(onnx_engine, most=0)).predict(faces.crops, faces.points)


def test_no_faces_are_asked_for_once(onnx_engine, faces, caplog):
    crowded = Crowded(onnx_engine, most=2)
    with caplog.at_level(logging.WARNING):
        points, _ = SparingEngine(crowded).landmarks(faces.rough[:0])
    assert points.shape == (0, 68, 2)
    assert crowded.asked == [0]


SCARCE = """
import resource, sys
import numpy as np
from aue_crl_core.engines import make_engine
engine = make_engine("edge", sys.argv[1], threads=1)
size = engine.config.preprocessing.input_size
rng = np.random.default_rng(0)
crops = rng.integers(0, 256, (600, size, size, 3), np.uint8)
points = rng.uniform(20, 76, (600, 68, 2)).astype(np.float32)
engine.predict(crops[:2], points[:2])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)
print(engine.predict(crops, points).probabilities.shape)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process's memory as Linux does")
@pytest.mark.parametrize("name", ["onnx", "torch", "openvino"])
def test_the_real_engines_say_when_memory_is_short_and_go_on(name):
    if name != "onnx":
        pytest.importorskip(name)
    returned = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}  # else glibc keeps what was freed, up to the limit
    command = [sys.executable, "-c", SCARCE, name]
    done = subprocess.run(command, env=returned, capture_output=True, text=True, timeout=300)
    assert done.stdout == "(600, 7)\n", done.stderr
    assert "no memory for 600 faces at once on cpu; now at most 300" in done.stderr
