"""Fifty real faces, and whether a method's head and loss learn them by heart on a narrow trunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")

import torch.nn.functional as F  # noqa: E402

from aue_crl_core.checkpoint import load_network  # noqa: E402
from aue_crl_core.config import ModelConfig, Preprocessing  # noqa: E402
from aue_crl_core.data.dataset import FaceDataset  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.data.prepare import prepare  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.methods.method import Method, MethodBatch  # noqa: E402
from aue_crl_core.networks.backbone import EdgeBackbone  # noqa: E402

SIZE = 64
CONFIG = ModelConfig(preprocessing=Preprocessing(input_size=SIZE), region_size=6, feature_dim=64, dropout=0.0)
STEPS = 40


class Faces(NamedTuple):
    """Images float32 50x3xSxS normalised, and what a method's loss knows of them."""

    images: torch.Tensor
    batch: MethodBatch


@pytest.fixture(scope="session")
def fifty_faces(fer_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Faces:
    """Faces of FER+ with their labels; the points are those that the shipped landmark net finds."""
    path = tmp_path_factory.mktemp("index") / "fer.parquet"
    prepare("ferplus", fer_root, path, None)
    index = DatasetIndex.read(path)
    samples = list(islice(FaceDataset([index], CONFIG.preprocessing), 50))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (CONFIG.preprocessing.mean, CONFIG.preprocessing.std))
    images = (torch.stack([s.image for s in samples]) / 255 - mean) / std
    target = torch.stack([s.target for s in samples])
    network, _ = load_network(find_weights("edge", "torch"))
    network.config = dataclasses.replace(network.config, preprocessing=CONFIG.preprocessing)
    points = network.find_points(images)
    known = torch.ones(50, dtype=torch.bool)
    return Faces(images, MethodBatch(target, target.argmax(dim=1), torch.full((50,), -1), points, ~known))


@pytest.fixture(scope="session")
def learns_by_heart(fifty_faces: Faces) -> Callable[[Method], float]:
    """The share of the fifty faces that a method's network gets right after at most `STEPS` steps on them."""

    def share(method: Method) -> float:
        torch.manual_seed(0)
        trunk = EdgeBackbone((8, 16, 24, 32), stem=8)
        head = method.head(CONFIG, trunk.channels)
        criterion = method.criterion(CONFIG) if method.criterion else torch.nn.Module()
        parts = torch.nn.ModuleList([trunk, head, criterion])
        optimiser = torch.optim.AdamW(parts.parameters(), lr=3e-3)
        images, batch = fifty_faces
        for _ in range(STEPS):
            output = head(trunk(images), batch.points, images)
            right = (output.logits.argmax(dim=1) == batch.label).float().mean().item()
            if right == 1:
                break
            terms = criterion(output, batch) if method.criterion else {}
            loss = F.cross_entropy(output.logits, batch.label) + sum(terms.values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return right

    return share
