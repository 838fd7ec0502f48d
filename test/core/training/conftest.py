"""A run so small that every stage of it fits into a test: real FER+ faces, the edge model, one thread."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("tensorboard")

from aue_crl_core.checkpoint import CheckpointInfo, load_landmark_net, save_network  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.data.prepare import prepare  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.config import TrainConfig, make_config  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402

STAGES = ("landmark", "expression", "action_unit", "fusion")


@pytest.fixture(autouse=True, scope="session")
def _one_thread(one_torch_thread):
    """For all tests here."""


@pytest.fixture(scope="session")
def tiny_index(fer_root: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    """About 36 images of training and 12 of validation, without points: the landmark net finds them."""
    path = tmp_path_factory.mktemp("index") / "fer.parquet"
    prepare("ferplus", fer_root, path, None)
    index = DatasetIndex.read(path)
    kept = []
    for split, count in (("train", 36), ("valid", 12)):
        kept += [r for r in index.records if r.split == split and r.usable][:count]
    return dataclasses.replace(index, records=tuple(kept))


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """Two epochs of two steps a stage, float32, on crops of 64 pixels."""
    schedule = {"epochs": 2, "lr": 1e-3}
    small = {"input_size": 64}
    stages = dict.fromkeys(STAGES, schedule)
    return make_config(None, batch_size=16, precision="fp32", workers=0, preprocessing=small, **stages)


@pytest.fixture(scope="session")
def shipped(tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of model `edge` for such crops, of which the paper's stages train every part, with the shipped
    landmark net."""
    torch.manual_seed(0)
    network = build_network(tiny_config.network())
    load_landmark_net(network, find_weights("edge", "torch"))
    path = tmp_path_factory.mktemp("shipped") / "edge.safetensors"
    save_network(path, network.eval(), CheckpointInfo(network.config, "fusion"))
    return path


@pytest.fixture(scope="session")
def finished_run(
    tiny_index: DatasetIndex, tiny_config: TrainConfig, shipped: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The directory of a run of the paper's three stages that nothing interrupted."""
    output = tmp_path_factory.mktemp("run") / "whole"
    train(tiny_config, [tiny_index], output, landmarks=shipped)
    return output
