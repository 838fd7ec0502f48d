"""Every method's head leaves torch unchanged: as ONNX it says of real faces what it says in torch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from aue_crl_core.checkpoint import CheckpointInfo, save_network  # noqa: E402
from aue_crl_core.checkpoint.export import export_onnx, largest_difference  # noqa: E402
from aue_crl_core.config import ModelConfig, Preprocessing  # noqa: E402
from aue_crl_core.engines.onnx import OnnxEngine  # noqa: E402
from aue_crl_core.methods import METHODS  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402

CONFIG = ModelConfig(backbone="edge", preprocessing=Preprocessing(input_size=64), region_size=6, feature_dim=64)
ONE_A_HEAD = {method.head: name for name, method in METHODS.items() if method.head is not None}.values()


@pytest.mark.parametrize("name", ONE_A_HEAD)
def test_onnxruntime_and_torch_agree(name, fifty_faces, raf_images, tmp_path):
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(CONFIG, method=name))
    with torch.no_grad():
        for _ in range(10):  # normalisation statistics as after training
            network.head_output(fifty_faces.images[:16], fifty_faces.batch.points[:16])
    save_network(tmp_path / "it.safetensors", network.eval(), CheckpointInfo(network.config, "expression"))
    export_onnx(tmp_path / "it.safetensors", tmp_path / "it.onnx")
    assert largest_difference(tmp_path / "it.safetensors", tmp_path / "it.onnx", raf_images[:5]) < 1e-4
    engine = OnnxEngine(tmp_path / "it.onnx")
    crops = np.stack([np.full((64, 64, 3), grey, np.uint8) for grey in (0, 255)] + [raf_images[0][:64, :64]])
    points = np.random.default_rng(0).uniform(0, 64, (3, 68, 2)).astype(np.float32)
    probabilities = engine.predict(crops, points).probabilities
    assert np.isfinite(probabilities).all()
    assert np.ptp(probabilities, axis=0).max() > 1e-3, "pictures must differ, or a wrong batch would not be seen"
