"""ImageNet weights: mapped exactly, fetched only when asked for, and a clear word when they cannot be had."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from torchvision.models.feature_extraction import create_feature_extractor  # noqa: E402

from aue_crl_core.config import ModelConfig, Preprocessing, model_config  # noqa: E402
from aue_crl_core.errors import CheckpointError, ConfigError, DownloadError, TrainingError  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.directory.paths import RunPaths  # noqa: E402
from aue_crl_core.training.loop import normalise  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402
from aue_crl_core.training.weights import imagenet  # noqa: E402
from aue_crl_core.training.weights.imagenet import Trunk, TrunkWeights, read_for, trunk_weights  # noqa: E402

CLOSED = "http://127.0.0.1:9"
LAYERS = ("layer1", "layer2", "layer3", "layer4")


def small(backbone: str, size: int = 64) -> ModelConfig:
    """A whole trunk below small heads."""
    heads = {"feature_dim": 8, "decoder_channels": (8, 8, 8), "fusion_dim": 8}
    regions = {"region_size": 4, "region_channels": 2, "region_pool": 2, "region_dim": 4}
    return ModelConfig(backbone=backbone, preprocessing=Preprocessing(input_size=size), **heads, **regions)


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Path]:
    """An empty folder of torch hub's, and no network."""
    urllib.request.install_opener(None)  # the process's opener keeps the proxies of its first use
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, CLOSED)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "torch" / "hub" / "checkpoints"
    urllib.request.install_opener(None)


def random_resnet(name: str) -> torch.nn.Module:
    """torchvision's network with random weights and random statistics, so that nothing is at its default."""
    torch.manual_seed(3)
    net = getattr(torchvision.models, name)(weights=None).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in ((module.running_mean, -0.3, 0.3), (module.running_var, 0.7, 1.5)):
                tensor.uniform_(low, high)
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    return net


def publish(net: torch.nn.Module, name: str, folder: Path, place: str = CLOSED) -> TrunkWeights:
    """Save a network as torchvision publishes one, its hash in its name, in `folder`; to be had at `place`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), folder / "weights")
    digest = hashlib.sha256((folder / "weights").read_bytes()).hexdigest()
    (folder / "weights").rename(folder / f"{name}-{digest[:8]}.pth")
    real = trunk_weights(small(name))
    return dataclasses.replace(real, url=f"{place}/{name}-{digest[:8]}.pth")


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet101"])
def test_the_trunk_computes_what_torchvision_does_from_the_same_picture(name, hub):
    theirs = random_resnet(name)
    network = build_network(small(name)).eval()
    origin = Trunk(publish(theirs, name, hub)).load_into(network)
    assert origin.startswith(f"torchvision ResNet{name[6:]}_Weights.IMAGENET1K_V1 ({name}-")
    pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    entry = torchvision.models.get_weight(f"ResNet{name[6:]}_Weights.IMAGENET1K_V1")
    prepared = entry.transforms(crop_size=64, resize_size=64)(pictures)
    with torch.no_grad():
        expected = create_feature_extractor(theirs, list(LAYERS))(prepared)
        maps = network.backbone(normalise(pictures, network.config.preprocessing))
    for layer, got in zip(LAYERS, maps, strict=True):
        scale = expected[layer].abs().max()
        assert scale > 0.1
        assert float((got - expected[layer]).abs().max() / scale) < 1e-5, layer


def test_every_model_but_ours_has_weights_for_images_normalised_as_here():
    for name in ("resnet18", "resnet50", "resnet101", "mobilenet_v2"):
        weights = trunk_weights(model_config(name))
        assert weights.url == f"https://download.pytorch.org/models/{name}-{weights.sha256}.pth"
        assert len(weights.sha256) == 8
        assert (weights.mean, weights.std) == (Preprocessing().mean, Preprocessing().std)


def test_mobilenets_file_is_read_from_the_package_that_carries_it(hub, tmp_path, monkeypatch):
    theirs = random_resnet("mobilenet_v2")
    package = tmp_path / "site" / "carries_weights"
    weights = publish(theirs, "mobilenet_v2", package / "files")
    name = weights.url.rpartition("/")[2]
    (package / "__init__.py").write_text("raise ImportError('it must not be imported')")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(imagenet, "_PACKAGES", {name: package.name})
    assert weights.file == package / "files" / name
    network = build_network(small("mobilenet_v2")).eval()
    assert Trunk(weights).load_into(network).startswith("torchvision MobileNet_V2_Weights.IMAGENET1K_V1 (mobilenet_v2-")
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.backbone(pictures)[3], theirs.features[:18](pictures))
    assert not hub.exists()


def test_only_the_trunk_changes(hub):
    network = build_network(small("resnet18"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Trunk(publish(random_resnet("resnet18"), "resnet18", hub)).load_into(network)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in changed} == {"backbone"}
    assert {name for name in before if name.startswith("backbone.") and name.endswith("weight")} <= changed


def test_a_file_that_is_not_there_is_fetched_and_kept(hub, tmp_path):
    weights = publish(random_resnet("resnet18"), "resnet18", tmp_path / "server", (tmp_path / "server").as_uri())
    Trunk(weights)
    assert [path.name for path in hub.iterdir()] == [weights.file.name]


def test_what_is_fetched_must_be_what_its_name_says(hub, tmp_path):
    weights = publish(random_resnet("resnet18"), "resnet18", tmp_path / "server", (tmp_path / "server").as_uri())
    (tmp_path / "server" / weights.file.name).write_bytes(b"a sign-in page")
    with pytest.raises(DownloadError, match="invalid hash value"):
        Trunk(weights)
    assert not list(hub.iterdir())


def test_a_damaged_file_is_named_and_not_used(hub):
    weights = publish(random_resnet("resnet18"), "resnet18", hub)
    data = weights.file.read_bytes()
    weights.file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=rf"{weights.sha256}, got .*remove it, and it is downloaded again"):
        Trunk(weights)


def test_tensors_of_another_trunk_are_refused(hub):
    trunk = Trunk(publish(random_resnet("resnet18"), "resnet18", hub))
    with pytest.raises(CheckpointError, match="must hold the tensors of this trunk"):
        trunk.load_into(build_network(small("resnet50")))


def test_without_a_network_the_error_says_what_was_tried_and_what_to_do(hub, tiny_config, tiny_index, tmp_path):
    config = dataclasses.replace(tiny_config, model="resnet50", preprocessing=None)
    with pytest.raises(DownloadError) as caught:
        train(config, [tiny_index], tmp_path / "run", init="imagenet")
    text = str(caught.value)
    for part in (
        "ResNet50_Weights.IMAGENET1K_V1",
        f"looked for {hub / 'resnet50-0676ba61.pth'}",
        "then tried https://download.pytorch.org/models/resnet50-0676ba61.pth",
        "Connection refused",
        f"download resnet50-0676ba61.pth elsewhere and put it into {hub}",
        "train without --init imagenet",
    ):
        assert part in text
    assert not (tmp_path / "run").exists()


def test_our_own_trunk_has_no_such_weights(hub, tiny_config, tiny_index, tmp_path):
    with pytest.raises(ConfigError, match=r"must start one of resnet18.*, mobilenet_v2, got edge.*--model"):
        train(tiny_config, [tiny_index], tmp_path / "run", init="imagenet")
    assert not (tmp_path / "run").exists()


def test_another_normalisation_than_the_weights_is_refused():
    config = dataclasses.replace(small("resnet18"), preprocessing=Preprocessing(mean=(0.5, 0.5, 0.5)))
    with pytest.raises(ConfigError, match=r"must have mean \(0\.485, 0\.456, 0\.406\).*got \(0\.5, 0\.5, 0\.5\)"):
        trunk_weights(config)


def test_a_later_stage_does_not_begin_with_them(hub, tiny_config, tiny_index, tmp_path):
    config = dataclasses.replace(tiny_config, model="resnet18", preprocessing=None)
    with pytest.raises(ConfigError, match="must begin with stage expression, which trains the trunk, got landmark"):
        train(config, [tiny_index], tmp_path / "run", ["landmark"], init="imagenet")
    with pytest.raises(TrainingError, match="stage fusion starts from stage action_unit"):
        train(config, [tiny_index], tmp_path / "run", ["fusion"], init="imagenet")


def test_a_stage_that_has_begun_needs_the_file_no_more(hub, tmp_path):
    (tmp_path / "expression.safetensors").touch()
    assert read_for(small("resnet18"), ["expression"], RunPaths(tmp_path)) is None


def test_without_torchvision_train_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from aue_crl_core.cli.main import main\n"
        "main(['train', '--data', 'x.parquet', '--output', 'run', '--model', 'resnet18', '--init', 'imagenet'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: training needs the package 'torchvision'")
    assert line.endswith("pip install 'aue-crl[train]'")
