"""Export: the ONNX engine says what torch says, on real faces, for any batch."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from aue_crl_core.analyzer import FaceAnalyzer  # noqa: E402
from aue_crl_core.checkpoint import load_network, save_network  # noqa: E402
from aue_crl_core.checkpoint.export import export_onnx, largest_difference  # noqa: E402
from aue_crl_core.engines import find_weights, make_engine  # noqa: E402
from aue_crl_core.errors import CheckpointError, ConfigError  # noqa: E402
from aue_crl_core.faces.crop import apply, cut, inverse, map_from_points  # noqa: E402

OUTPUTS = ("probabilities", "expression_probabilities", "action_units", "attention")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The shipped weights as float32."""
    network, info = load_network(find_weights("edge", "torch"))
    path = tmp_path_factory.mktemp("checkpoint") / "net.safetensors"
    save_network(path, network, info)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint):
    return export_onnx(checkpoint, checkpoint.with_suffix(".onnx"))


@pytest.mark.parametrize("batch", [1, 5])
def test_onnx_and_torch_agree_on_real_faces(checkpoint, exported, raf_images, batch):
    ours, theirs = make_engine(exported[0], "onnx", threads=1), make_engine(checkpoint, "torch")
    images = raf_images[:batch]
    faces = [found[0] for found in FaceAnalyzer.load(threads=1).find(images)]
    crops, points = [], []
    for image, face in zip(images, faces, strict=True):
        to_image = map_from_points(face.points, ours.config.preprocessing)
        crops.append(cut(image, to_image, ours.config.preprocessing.input_size))
        points.append(apply(inverse(to_image), face.points).astype(np.float32))
    a, b = (engine.predict(np.stack(crops), np.stack(points)) for engine in (ours, theirs))
    for name in OUTPUTS:
        assert getattr(a, name).shape == getattr(b, name).shape
        assert len(getattr(a, name)) == batch
        assert np.abs(getattr(a, name) - getattr(b, name)).max() < 1e-4
    assert largest_difference(checkpoint, exported[0], crops) < 1e-4


def test_a_difference_is_seen(exported, checkpoint, raf_images, tmp_path):
    network, info = load_network(checkpoint)
    with torch.no_grad():
        network.fusion.classifier.weight.zero_()
        network.fusion.classifier.bias.copy_(torch.linspace(0, 3, network.fusion.classifier.out_features))
    save_network(tmp_path / "other.safetensors", network, info)
    assert largest_difference(tmp_path / "other.safetensors", exported[0], raf_images[:1]) > 1e-2


def test_half_weights_halve_the_files_and_stay_near(checkpoint, exported, raf_images, tmp_path):
    halves = export_onnx(checkpoint, tmp_path / "half.onnx", half=True)
    for whole, half in zip(exported, halves, strict=True):
        assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert largest_difference(checkpoint, halves[0], raf_images[:5]) < 1e-2


def test_half_weights_of_a_half_checkpoint_are_equal(checkpoint, raf_images, tmp_path):
    network, info = load_network(checkpoint)
    save_network(tmp_path / "half.safetensors", network, info, dtype=torch.float16)
    path, _ = export_onnx(tmp_path / "half.safetensors", tmp_path / "half.onnx", half=True)
    assert largest_difference(tmp_path / "half.safetensors", path, raf_images[:5]) < 1e-4


@pytest.mark.parametrize("number", [0, 1])
def test_flipped_bits_in_an_exported_file_are_refused(exported, tmp_path, number):
    copies = [shutil.copy(path, tmp_path / path.name) for path in exported]
    data = bytearray(copies[number].read_bytes())
    data[len(data) // 2] ^= 4
    copies[number].write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{exported[number].name} is not as it was written"):
        make_engine(copies[0], "onnx", threads=1)


def test_the_configuration_travels_along(checkpoint, exported):
    engine = make_engine(exported[0], "onnx", threads=1)
    assert dataclasses.asdict(engine.config) == dataclasses.asdict(load_network(checkpoint)[0].config)


def test_the_output_must_be_an_onnx_file(checkpoint, tmp_path):
    with pytest.raises(ConfigError, match=r"output must end in \.onnx, got .*model\.bin"):
        export_onnx(checkpoint, tmp_path / "model.bin")


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        export_onnx(tmp_path / "none.safetensors", tmp_path / "model.onnx")
