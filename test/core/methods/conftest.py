"""Fifty real faces and a network small enough to learn them by heart within seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")

import torch.nn.functional as F  # noqa: E402

from aue_crl_core.checkpoint import load_network  # noqa: E402
from aue_crl_core.config import MethodName, ModelConfig, Preprocessing, model_config  # noqa: E402
from aue_crl_core.data.dataset import FaceDataset, Sample  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.data.prepare import prepare  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.knowledge import LearnablePrior  # noqa: E402
from aue_crl_core.methods import METHODS  # noqa: E402
from aue_crl_core.networks.backbone import EdgeBackbone  # noqa: E402
from aue_crl_core.networks.method_network import MethodNetwork  # noqa: E402
from aue_crl_core.training.config import make_config  # noqa: E402
from aue_crl_core.training.loop import Learner  # noqa: E402
from aue_crl_core.training.stages import Setting, stage_of  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def _one_thread(one_torch_thread):
    """For all tests here."""


@pytest.fixture(scope="session")
def small_model() -> Callable[[MethodName], ModelConfig]:
    """Model edge for 32 px crops, with a method's head and without dropout."""

    def config(method: MethodName) -> ModelConfig:
        small = Preprocessing(input_size=32)
        shape = dataclasses.replace(model_config("edge"), preprocessing=small, region_size=8, region_pool=4)
        return dataclasses.replace(shape, method=method, feature_dim=64, dropout=0.0)

    return config


@pytest.fixture(scope="session")
def fifty_faces(fer_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A batch of 50 FER+ faces at 32 px, uint8, with the points that the shipped landmark net finds."""
    path = tmp_path_factory.mktemp("fifty") / "fer.parquet"
    prepare("ferplus", fer_root, path, None)
    faces = FaceDataset([DatasetIndex.read(path)], Preprocessing(input_size=32))
    batch = Sample(*(torch.stack(column) for column in zip(*(faces[i] for i in range(50)), strict=True)))
    finder, _ = load_network(find_weights("edge", "torch"))
    images = F.interpolate(_normalised(batch), size=96, mode="bilinear")
    points = (finder.landmark_net(images)[0].detach() + 0.5) / 3 - 0.5
    return batch._replace(points=points, has_points=torch.ones(50, dtype=torch.bool))


def _normalised(batch: Sample) -> torch.Tensor:
    return (batch.image.float() / 255 - 0.45) / 0.226


@pytest.fixture(scope="session")
def learned_by_heart(small_model, fifty_faces) -> Callable[[MethodName, int], tuple[float, list[dict[str, float]]]]:
    """(method, steps) -> the share of the fifty faces that it then knows, and the loss terms of every step."""

    def learn(method: MethodName, steps: int) -> tuple[float, list[dict[str, float]]]:
        torch.manual_seed(0)
        own = METHODS[method].whole or (lambda _: EdgeBackbone((16, 24, 32, 48), stem=8))
        network = MethodNetwork(small_model(method), dataclasses.replace(METHODS[method], whole=own))
        stage, config = stage_of("expression", network.config), make_config(None, precision="fp32")
        setting = Setting(config, LearnablePrior("basic"), torch.zeros(7), criterion=stage.criterion(network.config))
        parameters, _ = stage.prepare(network, setting.prior, training=True)
        learner = Learner(network, stage, setting, torch.optim.AdamW(parameters), "cpu")
        history = []
        for step in range(steps):
            learner.set_lr(1e-2 * (1 - step / steps))  # to nothing, so that what batch normalisation has seen is true
            losses = learner.losses(fifty_faces)
            history.append({name: value.item() for name, value in losses.items()})
            learner.step(torch.stack(list(losses.values())).sum())
        network.eval()
        with torch.inference_mode():
            found = network(_normalised(fifty_faces), fifty_faces.points).fused_logits.argmax(dim=1)
        return float((found == fifty_faces.target.argmax(dim=1)).float().mean()), history

    return learn
