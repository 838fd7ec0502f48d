"""Our network against the authors' own code: the numbers that theirs printed for the weights and inputs made here.

Their sizes are fixed, so this is the network of the paper: about 20 s and 4 GB of memory. AUE_CRL_TEST_PARITY=1 adds
the gradients of the three stages (another minute, 8 GB).
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from upstream_tensors import REGIONS, UNITS, in_their_names, uniform  # noqa: E402

from aue_crl_core.checkpoint.upstream import convert, expected_tensors  # noqa: E402
from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.knowledge import LearnablePrior  # noqa: E402
from aue_crl_core.losses import pairwise_dependency_loss, prior_regulariser, weighted_au_loss  # noqa: E402
from aue_crl_core.networks.action_unit_branch import RegionWindows  # noqa: E402
from aue_crl_core.networks.aue_crl import AueCrl  # noqa: E402
from aue_crl_core.networks.build import build_network  # noqa: E402
from aue_crl_core.training.stages import STAGES  # noqa: E402

BATCH = 4
LEARNING_RATE = 0.01
LABELS = {"basic": (0, 1, 4, 5), "compound": (0, 2, 7, 10)}
NUMBERS = json.loads((Path(__file__).parents[2] / "data" / "upstream_parity.json").read_text())
CONFIG = ModelConfig(upstream_region_order=True)
RELATIVE = 1e-4
RELATIVE_OF_A_STEP = 1e-2
"""Weights that differ in their last bit move these gradients, of four images through random weights, by 0.1 % or more;
with the very same bits the codes agreed to 1.2e-4 in every tensor's update."""


def _memory_gb() -> float:
    file = Path("/proc/meminfo")
    lines = dict(line.split(":") for line in file.read_text().splitlines()) if file.is_file() else {}
    return int(lines.get("MemAvailable", "0 kB").split()[0]) / 1e6


def weights(name: str, shape: tuple[int, ...]) -> Tensor:
    """The value of their tensor `name`: what keeps the signal alive through 101 layers of random statistics."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(3)
    if name.endswith(("running_mean", "bias")):
        low, high = -0.1, 0.1
    elif name.endswith("running_var"):
        low, high = 0.5, 1.5
    elif len(shape) == 1:
        low, high = (0.15, 0.35) if ".bn3." in name or ".downsample.1." in name else (0.5, 1.5)
    else:
        inputs = shape[0] * 4 if "deconv" in name else int(np.prod(shape[1:]))
        high = (8 if "attention_fuse_3.0" in name else 1) * (6 / inputs) ** 0.5
        low = -high
    return torch.from_numpy(uniform(name, shape, low, high))


class Generated(dict):
    """Their state dict as shapes; a tensor is made when it is taken, so that there is one copy of 1.9 GB, not two."""

    def pop(self, name: str) -> Tensor:
        """Remove and make tensor `name`."""
        return weights(name, tuple(super().pop(name).shape))


def _images() -> Tensor:
    coarse = uniform("images.a", (BATCH, 3, 28, 28), -2, 2)
    return torch.from_numpy(coarse.repeat(8, 2).repeat(8, 3) + uniform("fine.a", (BATCH, 3, 224, 224), -0.5, 0.5))


def _points() -> Tensor:
    return torch.from_numpy(uniform("points.a", (BATCH, 68, 2), 0, 224))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The converted weights."""
    if _memory_gb() < 6:
        pytest.skip(f"the network of the paper needs 6 GB of free memory here, got {_memory_gb():.1f}")
    shapes = expected_tensors(CONFIG)
    kinds = {name: torch.int64 if name.endswith("tracked") else torch.float32 for name in shapes}
    theirs = Generated({name: torch.zeros((), dtype=kinds[name]).expand(shape) for name, shape in shapes.items()})
    return convert(theirs, CONFIG, "generated")[0]


def _network(state: dict[str, Tensor], vocabulary: str) -> AueCrl:
    """The network of `state`, whose weights it shares; statistics are its own. Compound: with heads for 11 classes."""
    config = CONFIG
    state = {name: t.clone() if "running" in name or "tracked" in name else t for name, t in state.items()}
    if vocabulary == "compound":
        config = dataclasses.replace(CONFIG, vocabulary="compound", attention="sigmoid")
        for ours, theirs, width in (
            ("expression_branch.classifier", "pred_em", 1024),
            ("fusion.classifier", "pred_em_fuse_3", 1536),
        ):
            state[f"{ours}.weight"] = weights(f"{theirs}.weight", (11, width))
            state[f"{ours}.bias"] = weights(f"{theirs}.bias", (11,))
    with torch.device("meta"):
        network = build_network(config)
    network.load_state_dict(state, strict=False, assign=True)
    network.action_unit_branch.windows = RegionWindows(224, 56, 24)
    return network.eval()


@pytest.fixture(scope="module")
def pyramid(state) -> tuple[Tensor, ...]:
    """What the trunk, which both networks share, makes of the images."""
    with torch.no_grad():
        return _network(state, "basic").backbone(_images())


@pytest.mark.parametrize("vocabulary", ["basic", "compound"])
def test_outputs_and_losses_are_those_of_the_authors_code(state, pyramid, vocabulary):
    network = _network(state, vocabulary)
    labels, prior = torch.tensor(LABELS[vocabulary]), LearnablePrior(vocabulary)
    with torch.no_grad():
        feature, logits = network.expression_branch(pyramid)
        unit_logits, vectors, _ = network.action_unit_branch(pyramid, _points())
        fused, attention = network.fusion(feature, vectors)
        ours = {
            "expression_logits": logits,
            "fused_logits": fused,
            "action_units": unit_logits.sigmoid(),
            "attention": attention,
            "expression_cross_entropy": F.cross_entropy(logits, labels),
            "fused_cross_entropy": F.cross_entropy(fused, labels),
            "weighted_au_loss": weighted_au_loss(unit_logits.sigmoid(), prior.targets(labels)),
            "pairwise_loss": pairwise_dependency_loss(unit_logits.sigmoid(), "upstream"),
            "pairwise_loss_of_attention": pairwise_dependency_loss(attention, "upstream"),
            "prior_regulariser": prior_regulariser(prior),
        }
    for name, theirs in NUMBERS["forward"][vocabulary].items():
        expected = torch.tensor(theirs, dtype=torch.float64)
        difference = (ours[name].double().flatten() - expected).abs().max() / expected.abs().max()
        assert difference < RELATIVE, name


class TheirDropout(nn.Module):
    """Dropout whose masks follow from their names for the layers, so that both codes drop the same."""

    def forward(self, values: Tensor) -> Tensor:
        """B x 34 x 256 regions, B x 17 x 512 units or B x 1024 features."""
        if not self.training:
            return values
        if values.ndim == 2:
            return self._drop("drop.featurea", values)
        kind = {REGIONS: "region", UNITS: "unit"}[values.shape[1]]
        return torch.stack([self._drop(f"drop.{kind}.{i}a", part) for i, part in enumerate(values.unbind(1))], dim=1)

    @staticmethod
    def _drop(name: str, values: Tensor) -> Tensor:
        return values * torch.from_numpy(2 * (uniform(name, tuple(values.shape)) >= 0.5).astype(np.float32))


def _loss(network: AueCrl, prior: LearnablePrior, stage: str) -> Tensor:
    images, points, labels = _images(), _points(), torch.tensor(LABELS["basic"])
    if stage == "expression":
        return F.cross_entropy(network.expression_only(images), labels)
    if stage == "action_unit":
        probabilities = network.action_unit_branch(network.backbone(images), points)[0].sigmoid()
        return (
            weighted_au_loss(probabilities, prior.targets(labels))
            + 0.5 * pairwise_dependency_loss(probabilities, "upstream")
            + prior_regulariser(prior)
        )
    out = network(images, points)
    decisions = F.cross_entropy(out.expression_logits, labels) + F.cross_entropy(out.fused_logits, labels)
    return decisions + 0.05 * pairwise_dependency_loss(out.attention, "upstream")


@pytest.mark.skipif(
    os.environ.get("AUE_CRL_TEST_PARITY") != "1", reason="takes a minute and 8 GB: set AUE_CRL_TEST_PARITY=1"
)
@pytest.mark.parametrize("stage", ["expression", "action_unit", "fusion"])
def test_a_step_of_training_is_that_of_the_authors_code(state, stage):
    """Their modes: all in training mode (in stage Fuse not the backbone), frozen parts too."""
    network, prior = _network(state, "basic"), LearnablePrior("basic")
    network.action_unit_branch.dropout, network.fusion.dropout = TheirDropout(), TheirDropout()
    STAGES[stage].prepare(network, prior, training=True)
    network.train()
    if stage == "fusion":
        network.backbone.eval()
    loss = _loss(network, prior, stage)
    loss.backward()
    expected = NUMBERS["steps"][stage]
    assert loss.item() == pytest.approx(expected["loss"], rel=RELATIVE)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if not name.startswith("landmark_net."):
                weight.data = torch.zeros(()).expand(weight.shape) if weight.grad is None else weight.grad
        gradients = {**in_their_names(network), "PriorKnowledgeTable": prior.table.grad}
    for name, norm in expected["update_norms"].items():
        update = LEARNING_RATE * gradients[name].double().norm().item()
        assert update == pytest.approx(norm, rel=RELATIVE_OF_A_STEP), name
