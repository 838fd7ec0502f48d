"""The default engine: figures in their ranges, batches of any size, and refusals that can be acted on."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from aue_crl_core.engines import find_weights, make_engine
from aue_crl_core.engines.onnx import METADATA_KEY, landmarks_path
from aue_crl_core.errors import CheckpointError, ConfigError
from aue_crl_core.hashing import UNSEALED


def test_outputs_lie_in_their_ranges(onnx_engine, faces):
    out = onnx_engine.predict(faces.crops, faces.points)
    assert out.probabilities.shape == out.expression_probabilities.shape == (5, 7)
    assert out.action_units.shape == out.attention.shape == (5, 17)
    for rows in (out.probabilities, out.expression_probabilities, out.attention):
        assert rows.min() >= 0
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert 0 <= out.action_units.min() <= out.action_units.max() <= 1
    assert all(getattr(out, name).dtype == np.float32 for name in out.__slots__)


def test_a_batch_gives_what_each_alone_gives(onnx_engine, faces):
    points, scores = onnx_engine.landmarks(faces.rough)
    together = onnx_engine.predict(faces.crops, faces.points)
    for i in range(5):
        alone = onnx_engine.landmarks(faces.rough[i : i + 1])
        np.testing.assert_allclose(alone[0][0], points[i], atol=1e-3)
        np.testing.assert_allclose(alone[1][0], scores[i], atol=1e-4)
        out = onnx_engine.predict(faces.crops[i : i + 1], faces.points[i : i + 1])
        for name in out.__slots__:
            np.testing.assert_allclose(getattr(out, name)[0], getattr(together, name)[i], atol=1e-4)


def test_cuda_on_a_machine_without_names_the_remedy():
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ConfigError, match=r"got 'cuda'; use --device cpu, install onnxruntime-gpu"):
        make_engine("edge", device="cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:one", "CPU", ""])
def test_a_device_of_another_spelling_is_refused(device):
    with pytest.raises(ConfigError, match="device of the onnx engine must be cpu, cuda or cuda:N"):
        make_engine("edge", device=device)


@pytest.mark.parametrize("landmarks", [False, True])
@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_a_file_cut_short_is_named(own_weights, landmarks, keep):
    path = landmarks_path(own_weights) if landmarks else own_weights
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(CheckpointError, match=path.name):
        make_engine(own_weights, threads=1)


def test_a_file_of_another_kind_is_refused(own_weights):
    own_weights.write_text("these are not the weights\n" * 50)
    with pytest.raises(CheckpointError, match="must be an ONNX model"):
        make_engine(own_weights, threads=1)


def test_a_model_without_its_landmark_net_is_refused(own_weights):
    landmarks_path(own_weights).unlink()
    with pytest.raises(CheckpointError, match=r"no ONNX model at .*own\.landmarks\.onnx; make one"):
        make_engine(own_weights, threads=1)


def _set_metadata(path, text: str | None) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    del model.metadata_props[:]
    if text is not None:
        onnx.helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)


def test_a_model_without_metadata_is_refused(own_weights):
    _set_metadata(own_weights, None)
    with pytest.raises(CheckpointError, match="has no 'aue_crl' metadata; export it with: aue-crl export"):
        make_engine(own_weights, threads=1)


@pytest.mark.parametrize("text", ["{}", '{"config": 3}', '{"config": {"backbone": "vgg"}}'])
def test_metadata_of_another_form_is_refused(own_weights, text):
    _set_metadata(own_weights, text)
    with pytest.raises(CheckpointError, match="holds a configuration that this version cannot use"):
        make_engine(own_weights, threads=1)


def _poison(path) -> None:
    """Weights as flipped bits leave them: a number of each bias is none."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 1:
            values = values.copy()
            values.flat[0] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for entry in model.metadata_props:
        entry.value = re.sub(r"aue-crl sha256 [0-9a-f]{64}", UNSEALED, entry.value)
    onnx.save(model, path)


def test_outputs_that_are_no_numbers_are_an_error(own_weights, faces):
    _poison(own_weights)
    engine = make_engine(own_weights, threads=1)
    with pytest.raises(CheckpointError, match=r"network of .*own\.onnx must give finite numbers, got NaN or infinity"):
        engine.predict(faces.crops, faces.points)


def test_points_that_are_no_numbers_are_an_error(own_weights, faces):
    _poison(landmarks_path(own_weights))
    engine = make_engine(own_weights, threads=1)
    with pytest.raises(CheckpointError, match=r"network of .*own\.landmarks\.onnx must give finite numbers"):
        engine.landmarks(faces.rough)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_metadata_that_is_no_object_is_refused(own_weights, text):
    _set_metadata(own_weights, text)
    with pytest.raises(CheckpointError, match=r"the metadata of .*own\.onnx must be (JSON|a JSON object)"):
        make_engine(own_weights, threads=1)


def _of_someone_else(path, inputs: dict[str, list], metadata: dict[str, str]) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1000])
    node = helper.make_node("Constant", [], ["y"], value_floats=[0.0])
    graph = helper.make_graph([node], "theirs", taken, [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)


@pytest.mark.parametrize("inputs", [{}, {"x": ["n", 3, 224, 224]}, {"images": []}, {"images": ["n", "h", "w", 3]}])
def test_a_model_of_someone_else_is_refused(own_weights, onnx_engine, inputs):
    own = {METADATA_KEY: json.dumps({"config": onnx_engine.config.to_dict()})}
    _of_someone_else(landmarks_path(own_weights), inputs, {})
    with pytest.raises(CheckpointError, match=r"own\.landmarks\.onnx must be a model that aue-crl export wrote"):
        make_engine(own_weights, threads=1)
    _of_someone_else(own_weights, inputs, own)
    with pytest.raises(CheckpointError, match=r"own\.onnx must be a model that aue-crl export wrote"):
        make_engine(own_weights, threads=1)


def test_the_configuration_comes_from_the_file(onnx_engine):
    assert onnx_engine.config.backbone == "mobilenet_v2"
    assert len(onnx_engine.config.expressions) == 7
    assert find_weights("edge").is_file()
