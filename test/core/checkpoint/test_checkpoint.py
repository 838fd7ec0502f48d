"""Checkpoints: what goes in comes out, and anything else is refused by name."""

from __future__ import annotations

import dataclasses
import json
import os
import stat

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

from aue_crl_core.checkpoint import (  # noqa: E402
    METADATA_KEY,
    CheckpointInfo,
    load_landmark_net,
    load_network,
    read_info,
    read_prior,
    save_network,
)
from aue_crl_core.checkpoint.file import write_tensors  # noqa: E402
from aue_crl_core.config import ModelConfig, Preprocessing  # noqa: E402
from aue_crl_core.errors import CheckpointError, OutputError  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402

CONFIG = ModelConfig(
    backbone="edge",
    preprocessing=Preprocessing(input_size=96),
    feature_dim=8,
    decoder_channels=(8, 8, 8),
    decoder_upsampling="nearest",
    region_size=6,
    region_channels=2,
    region_dim=4,
    fusion_dim=8,
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(CONFIG).eval()


@pytest.fixture
def saved(network, tmp_path):
    info = CheckpointInfo(CONFIG, "fusion", data=({"layout": "ferplus", "images": 3},), metrics={"accuracy": 0.5})
    save_network(tmp_path / "net.safetensors", network, info, torch.full((7, 17), 0.25))
    return tmp_path / "net.safetensors"


def test_a_network_comes_back_bit_for_bit(network, saved, photograph):
    loaded, info = load_network(saved)
    image = torch.from_numpy(photograph[150:342:2, 150:342:2].copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        for ours, theirs in zip(network(image), loaded(image), strict=True):
            assert torch.equal(ours, theirs)
    assert (info.config, info.stage, info.metrics) == (CONFIG, "fusion", {"accuracy": 0.5})
    assert info.data == ({"layout": "ferplus", "images": 3},)
    assert info.classes == CONFIG.expressions
    assert info.prior == ((0.25,) * 17,) * 7 == read_prior(saved)
    assert not loaded.training


def test_half_precision_halves_the_file_and_loads_as_float32(network, saved, tmp_path):
    half = tmp_path / "half.safetensors"
    save_network(half, network, CheckpointInfo(CONFIG), dtype=torch.float16)
    assert half.stat().st_size < 0.6 * saved.stat().st_size
    loaded, info = load_network(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert info.prior is None
    assert read_prior(half) is None
    for a, b in zip(network.parameters(), loaded.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_file_has_the_mode_that_the_umask_says(network, tmp_path, umask):
    before = os.umask(umask)
    try:
        save_network(tmp_path / "net.safetensors", network, CheckpointInfo(CONFIG))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "net.safetensors").stat().st_mode) == 0o666 & ~umask


def test_writing_leaves_nothing_else_behind(saved):
    assert [p.name for p in saved.parent.iterdir()] == ["net.safetensors"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*none\.safetensors; train one with"):
        load_network(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 1000, -100])
def test_a_cut_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="must be a safetensors file"):
        load_network(saved)


def test_flipped_bits_are_refused(saved, network):
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 4
    saved.write_bytes(data)
    for load in (load_network, lambda path: load_landmark_net(network, path)):
        with pytest.raises(CheckpointError, match=r"net\.safetensors is not as it was written: .* export it again"):
            load(saved)


def test_a_file_without_a_hash_is_taken(saved):
    text = json.loads(CheckpointInfo(CONFIG, classes=CONFIG.expressions).to_json())
    save_file(load_file(saved), saved, {METADATA_KEY: json.dumps({k: v for k, v in text.items() if k != "seal"})})
    assert load_network(saved)[1].config == CONFIG


def _with_metadata(saved, change):
    values = json.loads(CheckpointInfo(CONFIG, classes=CONFIG.expressions).to_json())
    change(values)
    save_file(load_file(saved), saved, {METADATA_KEY: json.dumps(values)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(version=2), "must be of format 1, got 2"),
        (lambda v: v["config"].update(backbone="vgg"), "configuration that this version cannot use.*backbone"),
        (lambda v: v["config"].update(colour=1), r"unknown keys \['colour'\]"),
        (lambda v: v.pop("config"), "missing 1 required positional argument: 'config'"),
        (lambda v: v["classes"].reverse(), "must have the classes .*'surprise', 'fear'.* got .*'neutral', 'anger'"),
        (lambda v: v["config"].update(vocabulary="compound"), "must have the classes .*'happily surprised'"),
        (lambda v: v["action_units"].pop(), "action units"),
        (lambda v: v["config"].update(feature_dim=16), "does not fit its own configuration"),
        (lambda v: v["config"].update(feature_dim=2**40), "does not fit its own configuration"),
        (lambda v: v["config"].update(feature_dim=10**400), "feature_dim must be a whole number"),
        (lambda v: v["config"].update(dropout=10**400), "dropout must be a finite number"),
        (lambda v: v["config"].update(region_pool=1.5), "region_pool must be a whole number"),
        (
            lambda v: v["config"].update(decoder_channels=["a", 1, 2]),
            "every value of .*decoder_channels must be a whole",
        ),
    ],
)
def test_another_content_is_refused_by_name(saved, change, message):
    _with_metadata(saved, change)
    with pytest.raises(CheckpointError, match=message):
        load_network(saved)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "it was not written by this project"),
        ({METADATA_KEY: "{"}, "the metadata of .* must be JSON"),
        ({METADATA_KEY: "[1]"}, "the metadata of .* must be a JSON object, got a list"),
        ({METADATA_KEY: "[" * 100_000}, "the metadata of .* must be JSON"),
        ({METADATA_KEY: '{"version": ' + "[" * 500 + "]" * 500 + "}"}, r"must be of format 1, got \[\[\[\["),
    ],
)
def test_a_file_of_another_project_is_refused(saved, metadata, message):
    save_file(load_file(saved), saved, metadata)
    with pytest.raises(CheckpointError, match=message):
        read_info(saved)


def test_a_landmark_net_moves_alone(saved, network, tmp_path):
    torch.manual_seed(5)
    other = build_network(dataclasses.replace(CONFIG, vocabulary="compound"))
    before = {k: v.clone() for k, v in other.state_dict().items()}
    load_landmark_net(other, saved)
    for name, value in other.state_dict().items():
        source = network.state_dict()[name] if name.startswith("landmark_net.") else before[name]
        assert torch.equal(value, source)


def test_a_checkpoint_without_a_landmark_net_is_refused(saved, network):
    kept = {k: v for k, v in load_file(saved).items() if not k.startswith("landmark_net.")}
    save_file(kept, saved, {METADATA_KEY: CheckpointInfo(CONFIG, classes=CONFIG.expressions).to_json()})
    with pytest.raises(CheckpointError, match="has no landmark net; train one with: aue-crl train --stage landmark"):
        load_landmark_net(network, saved)


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, disk_with):
    path = tmp_path / "net.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, {})
    with disk_with(1000), pytest.raises(OutputError, match=r"net\.safetensors cannot be written"):
        write_tensors(path, {"a": torch.zeros(3000)}, {})
    assert load_file(path)["a"].tolist() == [1, 1, 1]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
