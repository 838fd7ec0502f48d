"""The table of methods, and what holds for each row of it."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.checkpoint import CheckpointInfo, load_network, read_info, save_network  # noqa: E402
from aue_crl_core.checkpoint.file import METADATA_KEY, write_tensors  # noqa: E402
from aue_crl_core.config import MethodName, model_config  # noqa: E402
from aue_crl_core.methods import METHODS  # noqa: E402
from aue_crl_core.networks import AueCrl, build_network  # noqa: E402
from aue_crl_core.networks.network import Correction  # noqa: E402

OTHERS = [name for name in METHODS if name != "aue_crl"]


def test_every_row_has_its_own_name():
    assert [method.name for method in METHODS.values()] == list(METHODS)
    assert set(METHODS) == set(get_args(MethodName))
    assert isinstance(build_network(model_config("edge")), AueCrl)


@pytest.mark.parametrize("name", OTHERS)
def test_a_batch_of_two_has_logits_and_no_action_units(name, small_model):
    config = small_model(name)
    network = build_network(config)
    images = torch.randn(2, 3, 32, 32)
    network(images).fused_logits.sum().backward()
    output = network.eval()(images, torch.rand(2, 68, 2) * 32)
    assert output.fused_logits.shape == output.expression_logits.shape == (2, 7)
    assert output.action_unit_probabilities.shape == output.attention.shape == (2, 0)
    assert output.points.shape == (2, 68, 2)
    assert all(p.grad is None for p in network.landmark_net.parameters())
    compound = build_network(dataclasses.replace(config, vocabulary="compound")).eval()
    assert compound(images).fused_logits.shape == (2, 11)


@pytest.mark.parametrize("name", OTHERS)
def test_corrections_of_its_logits_add_up(name, small_model):
    network = build_network(small_model(name)).eval()
    images = torch.randn(2, 3, 32, 32)
    before = network(images).fused_logits
    bias = torch.arange(7.0)
    for _ in range(2):
        network.correct_logits(expression=Correction(2.0, bias), fused=Correction(2.0, bias))
    torch.testing.assert_close(network(images).fused_logits, (before / 2 + bias) / 2 + bias)


def test_weights_from_before_there_were_biases_can_be_read(small_model, tmp_path):
    network = build_network(small_model("center")).eval()
    path = tmp_path / "center.safetensors"
    save_network(path, network, CheckpointInfo(network.config, "expression"))
    tensors, info = load_file(path), read_info(path)
    del tensors["bias"]
    write_tensors(path, tensors, {METADATA_KEY: info.to_json()})
    assert load_network(path)[0].bias.tolist() == [0.0] * 7


@pytest.mark.parametrize("name", ["softmax", "center", "island"])
def test_fifty_faces_are_learned_by_heart(name, learned_by_heart):
    known, history = learned_by_heart(name, 40)
    assert known >= 0.9
    assert history[-1]["expression"] < 0.5 * history[0]["expression"]
    if name != "softmax":
        assert history[-1]["center"] < history[0]["center"]
