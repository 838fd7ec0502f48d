"""OpenVINO gives onnxruntime's figures in float32, nearly the same in bfloat16, and reports nothing to its makers."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("openvino")

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.engines import Engine, make_engine
from aue_crl_core.engines.openvino import OpenVinoSession
from aue_crl_core.engines.processor import multiplies_bfloat16
from aue_crl_core.errors import CheckpointError, ConfigError

needs_bfloat16 = pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor does not multiply bfloat16")


@pytest.fixture(scope="module")
def exact() -> Engine:
    return make_engine("edge", "openvino", threads=1, precision="fp32")


@pytest.mark.parametrize("batch", [1, 5])
def test_in_float32_it_says_what_onnxruntime_says(onnx_engine, exact, faces, batch):
    ours, theirs = (engine.predict(faces.crops[:batch], faces.points[:batch]) for engine in (onnx_engine, exact))
    for name in ours.__slots__:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
        assert np.abs(mine - other).max() < 1e-4, name
    for one, other in zip(onnx_engine.landmarks(faces.rough), exact.landmarks(faces.rough), strict=True):
        assert np.array_equal(one, other)  # the landmark net is onnxruntime's in both


def test_it_knows_what_it_is(onnx_engine, exact):
    assert (exact.name, exact.device, exact.precision) == ("openvino", "cpu", "fp32")
    assert exact.config == onnx_engine.config
    assert exact.landmark_size == onnx_engine.landmark_size


@needs_bfloat16
def test_in_bfloat16_it_says_nearly_the_same(exact, faces):
    engine = make_engine("edge", "openvino", threads=1, precision="bf16")
    assert engine.precision == "bf16"
    one, other = (e.predict(faces.crops, faces.points) for e in (exact, engine))
    assert (one.probabilities.argmax(axis=1) == other.probabilities.argmax(axis=1)).all()
    assert 0 < np.abs(one.probabilities - other.probabilities).max() < 0.05
    assert np.abs(one.action_units - other.action_units).mean() < 0.02


@pytest.mark.parametrize(("faster", "chosen"), [pytest.param(True, "bf16", marks=needs_bfloat16), (False, "fp32")])
def test_auto_is_bfloat16_where_the_processor_multiplies_it(monkeypatch, faster, chosen):
    monkeypatch.setattr("aue_crl_core.engines.openvino.multiplies_bfloat16", lambda: faster)
    assert make_engine("edge", "openvino", threads=1, precision="auto").precision == chosen


def test_a_whole_look_at_a_photograph_is_the_same(raf_images):
    ours, theirs = (FaceAnalyzer.load("edge", engine, threads=1)(raf_images[0]) for engine in ("onnx", "openvino"))
    assert [face.expression for face in ours] == [face.expression for face in theirs] != []


def test_calls_from_several_threads_do_not_mix(exact, faces):
    wanted = [exact.predict(faces.crops[i : i + 1], faces.points[i : i + 1]).probabilities for i in range(5)]
    with ThreadPoolExecutor(5) as pool:
        asked = [
            (i, pool.submit(exact.predict, faces.crops[i : i + 1], faces.points[i : i + 1])) for i in [*range(5)] * 8
        ]
    for i, given in asked:
        assert np.array_equal(given.result().probabilities, wanted[i])


def test_what_it_said_stays_when_it_is_asked_again(exact, faces):
    first = exact.predict(faces.crops[:1], faces.points[:1])
    kept = first.probabilities.copy()
    exact.predict(faces.crops[1:2], faces.points[1:2])
    assert np.array_equal(first.probabilities, kept)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "gpu"])
def test_another_device_is_refused(device):
    with pytest.raises(ConfigError, match=f"device must be cpu with the openvino engine, got '{device}'"):
        make_engine("edge", "openvino", device)


def test_eight_bit_integers_are_refused():
    with pytest.raises(ConfigError, match="precision must be auto, fp32 or bf16 with the openvino engine, got 'int8'"):
        make_engine("edge", "openvino", precision="int8")


def test_damaged_weights_are_refused(own_weights):
    data = bytearray(own_weights.read_bytes())
    data[len(data) // 2] ^= 1
    own_weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="is not as it was written"):
        make_engine(own_weights, "openvino")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "own.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(CheckpointError, match=r"own\.onnx must be an ONNX model that this OpenVINO runs, got: "):
        OpenVinoSession(path, 1, "fp32")


def test_a_model_without_our_metadata_is_refused(own_weights):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(own_weights)
    del model.metadata_props[:]
    onnx.save(model, own_weights)
    with pytest.raises(CheckpointError, match="has no 'aue_crl' metadata"):
        make_engine(own_weights, "openvino")


def test_nothing_is_reported(tmp_path):
    """Its telemetry would keep a number of its own in the home, and look for Google's host."""
    code = """
import socket, sys
def refuse(*a, **k): print("looked for", a); raise OSError
socket.getaddrinfo = refuse
from aue_crl_core.engines import make_engine
make_engine("edge", "openvino", threads=1)
print(sys.modules["openvino_telemetry"])
"""
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
    assert list(tmp_path.iterdir()) == []


def test_without_openvino_the_engine_names_its_extra(tmp_path):
    (tmp_path / "openvino.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'openvino'\", name='openvino')\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from aue_crl_core.engines import make_engine\n"
    code += "make_engine('edge', 'openvino')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    wanted = "MissingDependencyError: the openvino engine needs the package 'openvino': pip install 'aue-crl[openvino]'"
    assert wanted in done.stderr.strip().splitlines()[-1]
