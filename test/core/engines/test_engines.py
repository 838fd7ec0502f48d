"""Where weights are found, and what is said where they are not."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from aue_crl_core.engines import WEIGHTS_DIRECTORY, find_weights, make_engine, shipped_weights
from aue_crl_core.errors import CheckpointError, ConfigError


def test_a_shipped_name_is_the_file_that_the_engine_reads():
    assert "edge" in shipped_weights()
    assert find_weights("edge", "onnx") == WEIGHTS_DIRECTORY / "edge.onnx"
    assert find_weights("edge", "openvino") == WEIGHTS_DIRECTORY / "edge.onnx"
    assert find_weights("edge", "torch") == WEIGHTS_DIRECTORY / "edge.safetensors"


def test_a_file_is_taken_and_the_other_form_leads_to_the_file_beside_it(tmp_path):
    model, checkpoint = tmp_path / "a.onnx", tmp_path / "a.safetensors"
    model.touch()
    checkpoint.touch()
    assert find_weights(model, "onnx") == model
    assert find_weights(str(checkpoint), "onnx") == model
    assert find_weights(model, "torch") == checkpoint


def test_the_directory_of_a_run_means_its_best_checkpoint(tmp_path):
    (tmp_path / "best.safetensors").touch()
    assert find_weights(tmp_path, "torch") == tmp_path / "best.safetensors"
    with pytest.raises(CheckpointError, match=r"best\.onnx does not exist\); make one with: aue-crl export --weights"):
        find_weights(tmp_path, "onnx")


def test_a_checkpoint_that_was_not_exported_names_the_command(tmp_path):
    checkpoint = tmp_path / "a.safetensors"
    checkpoint.touch()
    with pytest.raises(CheckpointError, match=rf"aue-crl export --weights {checkpoint} --output {tmp_path}/a\.onnx"):
        find_weights(checkpoint, "onnx")


def test_a_model_without_its_checkpoint_names_the_other_engine(tmp_path):
    model = tmp_path / "a.onnx"
    model.touch()
    with pytest.raises(CheckpointError, match=r"reads \.safetensors files, .*use --engine onnx"):
        find_weights(model, "torch")


@pytest.mark.parametrize("engine", ["onnx", "torch", "openvino"])
def test_a_misspelt_name_is_answered_with_the_shipped_ones(engine):
    with pytest.raises(CheckpointError, match=r"one of \[.*'edge'.*\], a file .* got 'egde'$"):
        find_weights("egde", engine)


def test_an_unknown_engine_and_no_threads_are_refused():
    with pytest.raises(ConfigError, match="engine must be one of onnx, torch, openvino, got 'tensorrt'"):
        make_engine("edge", "tensorrt")
    with pytest.raises(ConfigError, match="threads must be at least 1"):
        make_engine("edge", threads=0)


def test_without_torch_the_torch_engine_names_its_extra(tmp_path):
    """In a process where `import torch` fails, as on a robot."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from aue_crl_core.engines import make_engine\n"
    code += "make_engine('edge', 'torch')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "MissingDependencyError: the torch engine needs the package 'torch': pip install 'aue-crl[train]'" in last


def test_the_shipped_files_stay_small():
    assert sum(path.stat().st_size for path in WEIGHTS_DIRECTORY.iterdir()) < 30e6


def test_a_name_wins_over_a_file_of_that_name(tmp_path, monkeypatch):
    shutil.copy(WEIGHTS_DIRECTORY / "edge.onnx", tmp_path / "edge")
    monkeypatch.chdir(tmp_path)
    assert find_weights("edge") == WEIGHTS_DIRECTORY / "edge.onnx"
