"""torch and onnxruntime give the same figures on real faces."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch
from safetensors.torch import load_file, save_file

from aue_crl_core.engines import Engine, find_weights, make_engine
from aue_crl_core.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def torch_engine() -> Engine:
    return make_engine("edge", "torch")


@pytest.mark.parametrize("batch", [1, 5])
def test_the_landmark_nets_agree(onnx_engine, torch_engine, faces, batch):
    ours, theirs = (engine.landmarks(faces.rough[:batch]) for engine in (onnx_engine, torch_engine))
    assert np.abs(ours[0] - theirs[0]).max() / onnx_engine.landmark_size < 1e-4
    assert np.abs(ours[1] - theirs[1]).max() < 1e-4


@pytest.mark.parametrize("batch", [1, 5])
def test_the_expression_nets_agree(onnx_engine, torch_engine, faces, batch):
    ours, theirs = (engine.predict(faces.crops[:batch], faces.points[:batch]) for engine in (onnx_engine, torch_engine))
    for name in ours.__slots__:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype == np.float32
        assert np.abs(mine - other).max() < 1e-4, name


def test_in_bfloat16_it_says_nearly_the_same_and_finds_the_same_points(torch_engine, faces):
    engine = make_engine("edge", "torch", precision="bf16")
    assert (engine.precision, torch_engine.precision) == ("bf16", "fp32")
    assert make_engine("edge", "torch", precision="auto").precision == "fp32"
    exact, near = (e.predict(faces.crops, faces.points) for e in (torch_engine, engine))
    for name in exact.__slots__:
        one, other = getattr(exact, name), getattr(near, name)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        most = 5 if name == "intensities" else 1
        assert 0 < np.abs(one - other).max() / most < 0.05, name
    assert np.allclose(near.probabilities.sum(axis=1), 1, atol=1e-5)
    assert (near.probabilities.argmax(axis=1) == exact.probabilities.argmax(axis=1)).all()
    for one, other in zip(torch_engine.landmarks(faces.rough), engine.landmarks(faces.rough), strict=True):
        assert np.array_equal(one, other)


def test_both_read_the_same_configuration(onnx_engine, torch_engine):
    assert onnx_engine.config == torch_engine.config
    assert onnx_engine.landmark_size == torch_engine.landmark_size


def test_cuda_on_a_machine_without_names_the_remedy():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match=r"torch, which sees 0 CUDA devices, got 'cuda:0'; use --device cpu"):
        make_engine("edge", "torch", "cuda:0")


def test_a_device_that_torch_does_not_know_is_refused():
    with pytest.raises(ConfigError, match=r"device must be one that torch knows .* got 'gpu'"):
        make_engine("edge", "torch", "gpu")


def test_a_checkpoint_cut_short_is_refused(tmp_path):
    path = tmp_path / "own.safetensors"
    data = find_weights("edge", "torch").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="must be a safetensors file"):
        make_engine(path, "torch")


def test_a_checkpoint_without_metadata_is_refused(tmp_path):
    path = tmp_path / "own.safetensors"
    shutil.copy(find_weights("edge", "torch"), path)
    save_file(load_file(path), path)
    with pytest.raises(CheckpointError, match="has no 'aue_crl' metadata"):
        make_engine(path, "torch")
