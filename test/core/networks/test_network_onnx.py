"""The network leaves torch unchanged: ONNX, opset 17, any batch."""

from __future__ import annotations

import dataclasses
import inspect
import io

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from small_network import SMALL, as_after_training  # noqa: E402

from aue_crl_core.config import Preprocessing  # noqa: E402

EDGE = dataclasses.replace(
    SMALL, backbone="edge", decoder_upsampling="nearest", region_pool=3, preprocessing=Preprocessing(input_size=96)
)
FIELDS = ("expression_logits", "fused_logits", "action_unit_probabilities", "attention", "points")
OUTPUTS = [f"{field}_out" for field in FIELDS]


def _exported(network: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> onnxruntime.InferenceSession:
    file = io.BytesIO()
    legacy = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    torch.onnx.export(
        network,
        tuple(inputs.values()),
        file,
        opset_version=17,
        input_names=list(inputs),
        output_names=OUTPUTS,
        dynamic_axes={name: {0: "batch"} for name in (*inputs, *OUTPUTS)},
        **legacy,
    )
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])


def _faces(photograph: np.ndarray, size: int, count: int) -> torch.Tensor:
    shifts = [(170 + 7 * i, 60 + 5 * i) for i in range(count)]
    faces = np.stack([cv2.resize(photograph[y : y + 220, x : x + 220], (size, size)) for x, y in shifts])
    return torch.from_numpy((faces.astype(np.float32) / 255 - 0.45) / 0.225).permute(0, 3, 1, 2).contiguous()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("config", [SMALL, EDGE], ids=["resnet", "edge"])
@pytest.mark.parametrize("own_points", [True, False], ids=["own-points", "given-points"])
def test_onnxruntime_and_torch_agree_at_any_batch(config, own_points, photograph):
    network, size = as_after_training(config), config.preprocessing.input_size
    points = torch.rand(5, 68, 2, generator=torch.Generator().manual_seed(0)) * size

    def inputs(count: int) -> dict[str, torch.Tensor]:
        images = {"images": _faces(photograph, size, count)}
        return images if own_points else {**images, "points": points[:count].clone()}

    session = _exported(network, inputs(2))
    for batch in (1, 5):
        with torch.no_grad():
            expected = network(**inputs(batch))
        got = session.run(OUTPUTS, {name: value.numpy() for name, value in inputs(batch).items()})
        for field, value in zip(FIELDS, got, strict=True):
            assert np.abs(value - getattr(expected, field).numpy()).max() < 1e-4, (field, batch)
    spread = expected.action_unit_probabilities.std(dim=0).max()
    assert spread > 1e-3, "the faces must differ, or a wrong batch dimension would not be seen"
