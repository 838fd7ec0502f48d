"""Every method's head leaves torch unchanged: as ONNX it says of real faces what it says in torch, in any batch."""

from __future__ import annotations

import inspect
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

import torch.nn.functional as F  # noqa: E402

from aue_crl_core.checkpoint.export import OPSET  # noqa: E402
from aue_crl_core.config import ModelConfig, Preprocessing  # noqa: E402
from aue_crl_core.methods import METHODS  # noqa: E402
from aue_crl_core.networks.backbone import EdgeBackbone  # noqa: E402

ONE_A_HEAD = {method.head: method for method in METHODS.values() if method.head is not None}.values()


class Narrow(torch.nn.Module):
    """A method's head on a narrow trunk: images and points -> probabilities."""

    def __init__(self, method) -> None:
        super().__init__()
        config = ModelConfig(preprocessing=Preprocessing(input_size=64), region_size=6, feature_dim=32)
        self.trunk = EdgeBackbone((8, 16, 24, 32), stem=8) if method.whole is None else method.whole(config)
        self.head = method.head(config, self.trunk.channels)

    def forward(self, images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        # as a network's engine does, points are taken whether or not the head looks at them
        logits = 5 * self.head(self.trunk(images), points, images).logits  # random heads hardly tell faces apart
        return logits.softmax(dim=1) + 0 * points[:, 0, :1]


def _exported(network: Narrow, images: torch.Tensor, points: torch.Tensor) -> onnxruntime.InferenceSession:
    file, names = io.BytesIO(), ["images", "points", "probabilities"]
    legacy = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    torch.onnx.export(
        network,
        (images, points),
        file,
        opset_version=OPSET,
        input_names=names[:2],
        output_names=names[2:],
        dynamic_axes={name: {0: "batch"} for name in names},
        **legacy,
    )
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("method", ONE_A_HEAD, ids=lambda method: method.name)
def test_onnxruntime_and_torch_agree(method, fifty_faces):
    torch.manual_seed(0)
    images = F.interpolate((fifty_faces.image.float() / 255 - 0.45) / 0.226, size=64)
    points = torch.rand(50, 68, 2) * 64
    network = Narrow(method)
    with torch.no_grad():
        for _ in range(10):  # normalisation statistics as after training
            network(images[:16], points[:16])
        network.eval()
        session = _exported(network, images[:2], points[:2])
        for batch in (1, 5):
            feed = {"images": images[:batch].numpy(), "points": points[:batch].numpy()}
            expected = network(images[:batch], points[:batch]).numpy()
            assert np.abs(session.run(None, feed)[0] - expected).max() < 1e-4
    assert np.ptp(expected, axis=0).max() > 1e-3, "the faces must differ, or a wrong batch would not be seen"
