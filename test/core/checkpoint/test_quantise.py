"""Eight-bit integers: the file is smaller, says what float32 says, and is taken where it is asked for or faster."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime.quantization")

from aue_crl_core.checkpoint.export import export_onnx
from aue_crl_core.checkpoint.quantise import agreement, face_batches, quantise
from aue_crl_core.data.finders import OwnFinder
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.prepare import prepare
from aue_crl_core.engines import find_weights, make_engine
from aue_crl_core.engines.onnx import OnnxEngine, int8_path
from aue_crl_core.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_onnx(find_weights("edge", "torch"), tmp_path_factory.mktemp("model") / "edge.onnx")[0]


@pytest.fixture(scope="module")
def index(fer_root, tmp_path_factory) -> DatasetIndex:
    path = tmp_path_factory.mktemp("index") / "fer.parquet"
    prepare("ferplus", fer_root, path, OwnFinder)
    return DatasetIndex.read(path)


@pytest.fixture(scope="module")
def quantised(model, index):
    preprocessing = OnnxEngine(model).config.preprocessing
    return quantise(model, list(face_batches(index.select("train"), preprocessing, 32)))


def test_it_lies_beside_the_model_and_is_smaller(model, quantised):
    assert quantised == model.with_name("edge.int8.onnx")
    assert quantised.stat().st_size < 0.75 * model.stat().st_size
    assert not list(model.parent.glob("*.part"))


def test_it_says_nearly_what_float32_says_on_other_faces(model, quantised, index):
    engines = OnnxEngine(model), OnnxEngine(model, precision="int8")
    same = agreement(engines, face_batches(index.select("valid"), OnnxEngine(model).config.preprocessing))
    assert same.faces == sum(r.usable and r.points is not None for r in index.select("valid").records)
    assert same.same_label >= 0.9
    assert same.mean_difference < 0.05


def test_it_is_taken_when_asked_for_and_keeps_the_configuration(model, quantised):
    plain, whole = (make_engine(model, precision=p) for p in ("fp32", "int8"))
    assert (plain.precision, whole.precision) == ("fp32", "int8")
    assert whole.config == plain.config
    crops, points = np.zeros((1, 96, 96, 3), np.uint8), np.full((1, 68, 2), 48, np.float32)
    apart = whole.predict(crops, points).action_units - plain.predict(crops, points).action_units
    assert np.abs(apart).max() > 0


@pytest.mark.parametrize("faster", [True, False])
def test_auto_takes_it_where_the_processor_is_faster_in_it(model, quantised, monkeypatch, faster):
    monkeypatch.setattr("aue_crl_core.engines.onnx.multiplies_int8", lambda: faster)
    assert make_engine(model, precision="auto").precision == ("int8" if faster else "fp32")


def test_flipped_bits_are_refused(model, quantised, tmp_path):
    for path in (model, model.with_name("edge.landmarks.onnx")):
        (tmp_path / path.name).symlink_to(path)
    data = bytearray(quantised.read_bytes())
    data[len(data) // 2] ^= 4
    int8_path(tmp_path / model.name).write_bytes(data)
    with pytest.raises(CheckpointError, match=r"edge\.int8\.onnx is not as it was written"):
        make_engine(tmp_path / model.name, precision="int8")


def test_auto_is_float32_where_the_file_is_not(model, tmp_path, monkeypatch):
    monkeypatch.setattr("aue_crl_core.engines.onnx.multiplies_int8", lambda: True)
    for path in (model, model.with_name("edge.landmarks.onnx")):
        (tmp_path / path.name).symlink_to(path)
    assert make_engine(tmp_path / model.name).precision == "fp32"
    assert not int8_path(tmp_path / model.name).exists()
    with pytest.raises(CheckpointError, match=r"edge\.int8\.onnx.*--precision int8 --calibrate"):
        make_engine(tmp_path / model.name, precision="int8")


def test_another_precision_is_refused(model):
    with pytest.raises(ConfigError, match="precision must be one of auto, fp32, bf16, int8, got 'fp8'"):
        make_engine(model, precision="fp8")
    with pytest.raises(ConfigError, match="precision must be auto, fp32 or bf16 with the torch engine, got 'int8'"):
        make_engine("edge", "torch", precision="int8")
    with pytest.raises(ConfigError, match="precision must be auto, fp32 or int8 with the onnx engine, got 'bf16'"):
        make_engine(model, precision="bf16")
