"""All weight files: safetensors that carry their model configuration, vocabulary, pre-processing, data and metrics.

A checkpoint holds the network's tensors under their own names and the learned prior as `prior.table`. Its metadata key
`aue_crl` is the JSON of `CheckpointInfo`, with the hash of the file. Nothing in it is executed on loading.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aue_crl_core import facs
from aue_crl_core.config import ModelConfig, from_dict
from aue_crl_core.engines.base import check_intact
from aue_crl_core.errors import CheckpointError, ConfigError, brief
from aue_crl_core.hashing import UNSEALED, seal
from aue_crl_core.networks.build import build_network
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.text import json_object
from aue_crl_core.whole_file import whole_file

FORMAT_VERSION = 1
METADATA_KEY = "aue_crl"
PRIOR_KEY = "prior.table"
_SEAL = "seal"
_PRIOR_INSIDE = "prior_odds.table"
"""The prior of a network that has it inside (`ModelConfig.knowledge` "odds")."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself.

    `stage` the last finished training stage; `classes` and `action_units` the order of the outputs; `data` one row per
    index (layout, hash, images); `metrics` of the validation split; `initialised_from` the weights that training began
    with, if they were not random; `prior` C x 17, the learned table, if trained.
    """

    config: ModelConfig = field(metadata={"nested": ModelConfig})
    stage: str = ""
    classes: tuple[str, ...] = ()
    action_units: tuple[int, ...] = facs.ACTION_UNITS
    data: tuple[dict[str, Any], ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    license: str = "Apache-2.0"
    initialised_from: str = ""
    version: int = FORMAT_VERSION
    prior: tuple[tuple[float, ...], ...] | None = None

    def to_json(self) -> str:
        """The metadata text, with room for the hash of the file that it goes into (see `hashing.seal`)."""
        values = dataclasses.asdict(self)
        values.pop("prior")
        return json.dumps(values | {_SEAL: UNSEALED})


def save_network(
    path: Path,
    network: FaceNetwork,
    info: CheckpointInfo,
    prior: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a checkpoint atomically; `dtype` float16 halves the file (the values are rounded)."""
    tensors = {}
    for name, tensor in network.state_dict().items():
        tensors[name] = tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
    if prior is not None and _PRIOR_INSIDE not in tensors:
        tensors[PRIOR_KEY] = prior.detach().cpu().float().contiguous()
    config = network.config
    text = dataclasses.replace(info, classes=config.expressions, action_units=config.action_units).to_json()
    write_tensors(path, tensors, {METADATA_KEY: text})


def combine(weights: Path, landmarks: Path | None, output: Path, half: bool = False) -> None:
    """Write the network of `weights` as a checkpoint, with the landmark net of another one where that is given.

    `half`: as float16. Metadata and prior are those of `weights`.

    Raises:
        CheckpointError: see `load_network` and `load_landmark_net`.
    """
    network, info = load_network(weights)
    if landmarks is not None:
        load_landmark_net(network, landmarks)
    prior = None if info.prior is None else torch.tensor(info.prior)
    save_network(output, network, info, prior, torch.float16 if half else torch.float32)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file in one piece (a killed process leaves the old one), readable as the umask says.

    safetensors makes its files readable by their owner only, which is not what a checkpoint on a shared disk needs.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path) as part:
        part.unlink(missing_ok=True)
        part.touch()
        mode = part.stat().st_mode
        try:
            save_file(tensors, part, metadata)
        except SafetensorError as error:  # the disk is full
            raise OSError(str(error)) from error
        seal(part)
        part.chmod(mode)


def read_info(path: str | Path) -> CheckpointInfo:
    """The metadata of a checkpoint.

    Raises:
        CheckpointError: no such file, not safetensors, of another format, or of an unknown vocabulary.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; train one with: aue-crl train")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except SafetensorError as error:
        raise CheckpointError(f"{path} must be a safetensors file, got: {error}") from error
    if text is None:
        raise CheckpointError(f"{path} has no '{METADATA_KEY}' metadata: it was not written by this project")
    values = json_object(text, f"the metadata of {path}", CheckpointError)
    if values.get("version") != FORMAT_VERSION:
        raise CheckpointError(f"{path} must be of format {FORMAT_VERSION}, got {brief(values.get('version'))}")
    values.pop(_SEAL, None)
    try:
        info = from_dict(CheckpointInfo, values, str(path))
    except ConfigError as error:
        raise CheckpointError(f"{path} holds a configuration that this version cannot use: {error}") from error
    classes, units = info.config.expressions, info.config.action_units
    if info.classes != classes or info.action_units != units:
        raise CheckpointError(
            f"{path} must have the classes {list(classes)} and action units {list(units)}, "
            f"got {brief(list(info.classes))} and {brief(list(info.action_units))}"
        )
    return info


def load_network(path: str | Path, device: str = "cpu") -> tuple[FaceNetwork, CheckpointInfo]:
    """Read a checkpoint: the network in evaluation mode on `device`, float32, and what it says about itself.

    Raises:
        CheckpointError: as `read_info`, tensors that do not fit the configuration, or a file that has changed.
    """
    info = read_info(path)
    tensors = _tensors(path)
    prior = tensors.pop(PRIOR_KEY, tensors.get(_PRIOR_INSIDE))
    if info.config.method != "aue_crl":  # written before these networks had a bias beside their temperature
        tensors.setdefault("bias", torch.zeros(len(info.classes)))
    _check_fit(tensors, info.config, path)
    network = build_network(info.config)
    network.load_state_dict(tensors)
    if prior is not None:
        info = dataclasses.replace(info, prior=_rows(prior, info, path))
    return network.float().eval().to(device), info


def _tensors(path: str | Path) -> dict[str, Tensor]:
    check_intact(Path(path))
    return load_file(path)


def read_prior(path: str | Path) -> tuple[tuple[float, ...], ...] | None:
    """The learned prior of a checkpoint, C rows of 17; None where it was not trained.

    Raises:
        CheckpointError: as `read_info`.
    """
    info = read_info(path)
    with safe_open(path, "pt") as file:
        for key in (PRIOR_KEY, _PRIOR_INSIDE):
            if key in file.keys():  # noqa: SIM118 (a method of safetensors)
                return _rows(file.get_tensor(key), info, Path(path))
    return None


def load_landmark_net(network: FaceNetwork, path: Path) -> None:
    """Copy the trained landmark net of another checkpoint into `network`.

    Raises:
        CheckpointError: as `read_info`, or the file has no landmark net, or one of another shape.
    """
    read_info(path)
    prefix = "landmark_net."
    tensors = {name[len(prefix) :]: t.float() for name, t in _tensors(path).items() if name.startswith(prefix)}
    if not tensors:
        raise CheckpointError(f"{path} has no landmark net; train one with: aue-crl train --stage landmark")
    try:
        network.landmark_net.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path} has a landmark net of another shape: {error}") from error


def _check_fit(tensors: dict[str, Tensor], config: ModelConfig, path: str | Path) -> None:
    """The file's tensors are those of its configuration: seen before memory is taken for a network of that size.

    Raises:
        CheckpointError: they are not.
    """
    try:
        with torch.device("meta"):
            expected = {name: tensor.shape for name, tensor in build_network(config).state_dict().items()}
    except RuntimeError as error:  # more elements than a tensor can have
        raise CheckpointError(f"{path} does not fit its own configuration: {error}") from error
    found = {name: tensor.shape for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        must, got = (shapes.get(wrong[0]) for shapes in (expected, found))
        raise CheckpointError(
            f"{path} does not fit its own configuration: {wrong[0]} must be {_shape(must)}, got {_shape(got)}"
            + (f", and {len(wrong) - 1} others" if len(wrong) > 1 else "")
        )


def _shape(shape: torch.Size | None) -> str:
    return "absent" if shape is None else str(list(shape))


def _rows(prior: Tensor, info: CheckpointInfo, path: str | Path) -> tuple[tuple[float, ...], ...]:
    shape = (len(info.classes), len(info.action_units))
    if prior.shape != shape:
        raise CheckpointError(f"{path}: its prior must be {list(shape)}, got {list(prior.shape)}")
    return tuple(map(tuple, prior.tolist()))
