"""A robot pays for what it uses: the run-time path imports neither torch nor ROS, nor anything optional."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "rclpy", "cyclonedds", "pyarrow", "av", "matplotlib", "mediapipe", "onnx", "pandas")


@pytest.mark.parametrize("module", ["aue_crl_core", "aue_crl_core.analyzer", "aue_crl_core.data.prepare"])
def test_import_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint(HEAVY)


def test_running_an_analyzer_loads_nothing_heavy_either():
    code = (
        "import sys, numpy; from aue_crl_core.analyzer import FaceAnalyzer\n"
        "FaceAnalyzer.load(threads=1)(numpy.zeros((64, 64, 3), numpy.uint8))\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint(HEAVY)
