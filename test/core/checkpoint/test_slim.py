"""A narrower network says the same as the one that it was made of."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.checkpoint import load_network, save_network, slim  # noqa: E402
from aue_crl_core.checkpoint.file import CheckpointInfo  # noqa: E402
from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.errors import ConfigError  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402

GENERATOR = torch.Generator().manual_seed(0)
FACES = [torch.randn(8, 3, 96, 96, generator=GENERATOR) for _ in range(4)]
POINTS = torch.rand(8, 68, 2, generator=GENERATOR) * 96


@pytest.fixture(scope="module")
def wide():
    """A network at its full width, its batch normalisations set by what passes."""
    torch.manual_seed(0)
    network = build_network(model_config("mobilenet_v2"))
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of all that passed
    with torch.no_grad():
        for faces in FACES:
            network.train()(faces, POINTS)
    return network.eval()


@torch.no_grad()
def _difference(one, other) -> float:
    seen, said = one(FACES[0], POINTS), other(FACES[0], POINTS)
    pairs = [(seen.fused_logits.softmax(1), said.fused_logits.softmax(1))]
    pairs.append((seen.action_unit_probabilities, said.action_unit_probabilities))
    return max(float((a - b).abs().max()) for a, b in pairs)


def test_with_all_components_the_answers_are_equal(wide, monkeypatch):
    monkeypatch.setattr(slim, "_TOP_SHARE", 1.0)
    monkeypatch.setattr(slim, "_FEATURE_SHARE", 1.0)
    narrow = slim.slim(wide, FACES)
    assert _difference(wide, narrow) < 2e-3
    assert narrow.config.feature_rank == wide.config.feature_dim


def test_the_answers_stay_with_fewer_components_too(wide):
    narrow = slim.slim(wide, FACES)
    assert narrow.config.top_channels < 320
    assert narrow.config.feature_rank < wide.config.feature_dim
    assert narrow.config.top_channels % 16 == narrow.config.feature_rank % 16 == 0
    assert not narrow.training
    assert sum(p.numel() for p in narrow.parameters()) < 0.9 * sum(p.numel() for p in wide.parameters())
    assert _difference(wide, narrow) < 0.02


def test_the_statistics_of_the_narrow_map_are_its_own(wide):
    narrow = slim.slim(wide, FACES)
    norm = narrow.backbone.features[-1].conv[-1]
    seen = []
    hook = norm.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        for faces in FACES:
            narrow.backbone(faces)
    hook.remove()
    maps = torch.cat(seen)
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(norm.running_var, maps.var(dim=(0, 2, 3)), atol=1e-3, rtol=5e-2)


def test_a_narrow_network_is_written_and_read(wide, tmp_path):
    narrow = slim.slim(wide, FACES)
    save_network(tmp_path / "narrow.safetensors", narrow, CheckpointInfo(narrow.config, "joint"))
    assert _difference(narrow, load_network(tmp_path / "narrow.safetensors")[0]) < 1e-6


@pytest.mark.parametrize("name", ["edge", "resnet18"])
def test_other_networks_are_refused(name):
    with pytest.raises(ConfigError, match=f"must be mobilenet_v2.*got {name} of aue_crl"):
        slim.slim(build_network(model_config(name)), FACES)


def test_one_that_is_narrow_already_is_refused():
    with pytest.raises(ConfigError, match="narrowed already"):
        slim.slim(load_network(find_weights("edge", "torch"))[0], FACES)
