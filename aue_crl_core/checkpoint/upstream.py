"""Checkpoints of the authors' code (HCPLab-SYSU/AUE-CRL), read as data and turned into ours.

Their scripts save the state dict of `ResNet101` (7 classes) or `ResNet101_Compound` (11). Only names, shapes and values
are read: nothing in the file is executed.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import torch
from safetensors.torch import load_file
from torch import Tensor

from aue_crl_core import facs
from aue_crl_core.checkpoint.file import METADATA_KEY, PRIOR_KEY, CheckpointInfo, read_info, write_tensors
from aue_crl_core.config import ModelConfig, Preprocessing
from aue_crl_core.errors import CheckpointError
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.networks.action_unit_branch import NUM_UNITS, REGIONS
from aue_crl_core.networks.build import build_network

CropName = Literal["box", "points"]

CROPS: Final[dict[CropName, Preprocessing]] = {
    "box": Preprocessing(align=False),
    "points": Preprocessing(margin=0.15, lift=0.0, align=False),
}
"""How the faces were cut that the checkpoint was trained on, as nearly as our crop can: RAF-DB's and ExpW's boxes, or
the boxes around the face points that their SFEW, MMI and BP4D readers make, enlarged by 15 %."""

PRIOR: Final = "PriorKnowledgeTable"
_COUNTER: Final = "num_batches_tracked"
_STAGE_COUNTERS: Final = {
    "fusion": f"fc_em_fuse_3.2.{_COUNTER}",
    "action_unit": f"deconv_layer1.1.{_COUNTER}",
    "expression": f"reduce_dim_em.1.{_COUNTER}",
}
_PARTS: Final = ("action_unit_branch", "fusion")
_SPARE_HEADS: Final = re.compile(
    r"(backbone\.fc|pred_au_noCropNet2\.0|pred_em_fuse_3_attention|pred_em_fuse_3_ShareWeight|pred_au_fuse_3\.0"
    r"|pred_au_fuse_3_attention\.0)\.(weight|bias)"
)
_REMEDY: Final = "in the authors' environment save the tensors alone: torch.save(model.state_dict(), 'X.pkl')"

Layout = Literal["copy", "concatenate", "stack", "stack_transposed"]


class Origin(NamedTuple):
    """Where one of our tensors comes from: `names` of theirs, and how these make it."""

    names: tuple[str, ...]
    layout: Layout

    def shape(self, ours: torch.Size) -> torch.Size:
        """The shape that each of their tensors must have."""
        if self.layout == "concatenate":
            return torch.Size([ours[0] // len(self.names), *ours[1:]])
        if self.layout == "stack_transposed":
            return torch.Size([ours[2], ours[1]])
        return ours[1:] if self.layout == "stack" else ours

    def assemble(self, tensors: list[Tensor]) -> Tensor:
        """Our tensor from theirs, contiguous and in memory of its own."""
        if self.layout == "concatenate":
            return torch.cat(tensors).contiguous()
        if self.layout == "stack":
            return torch.stack(tensors)
        if self.layout == "stack_transposed":
            return torch.stack([tensor.T for tensor in tensors]).contiguous()
        return tensors[0].clone(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    `stage`: the last of ours that the checkpoint had trained, told from its counters of batches; empty where it has
    none. `used`: how many of its tensors were taken; `unused`: their heads that no forward pass reaches; `unknown`:
    tensors that their published code does not have, also left out. `fresh`: our parts that the file lacks, with random
    weights now. `clamped`: entries of their prior table that lay outside the range that their code clamps them to.
    """

    stage: str
    used: int
    unused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    clamped: int = 0


def import_upstream(
    path: Path, *, crop: CropName = "box", partial: bool = False
) -> tuple[dict[str, Tensor], ModelConfig, ImportReport]:
    """Read a checkpoint of the authors' code.

    Returns our tensors by name, float32 (without a landmark net; with `prior.table` where the prior was trained); the
    configuration that gives the same outputs; and what was done. `crop`: see `CROPS`; `partial`: see `convert`.

    Raises:
        CheckpointError: no such file, one that holds more than tensors, not their network, or as `convert`.
    """
    tensors = read_state_dict(path)
    config = upstream_config(tensors, str(path), CROPS[crop])
    state, report = convert(tensors, config, str(path), partial)
    return state, config, report


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of `torch.save`, by name: a state dict alone or as `state_dict`, `module.` taken off.

    Raises:
        CheckpointError: no such file, or one that holds more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path} must hold tensors and nothing else, got: {reason}; {_REMEDY}") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(
            f"{path} must hold a state dict (tensors by name), alone or as 'state_dict', "
            f"got {_describe(content)}; {_REMEDY}"
        )
    if content and all(name.startswith("module.") for name in content):
        return {name.removeprefix("module."): tensor for name, tensor in content.items()}
    return dict(content)


def upstream_config(tensors: dict[str, Tensor], where: str, preprocessing: Preprocessing) -> ModelConfig:
    """The configuration of their network: class count and fusion width tell it, its other sizes are fixed.

    `where` names the checkpoint in messages.

    Raises:
        CheckpointError: neither of their two networks.
    """
    names = ("backbone.conv1.weight", "pred_em.weight")
    absent = [name for name in names if name not in tensors]
    if absent:
        raise CheckpointError(
            f"{where} must be a state dict of the authors' ResNet101 or ResNet101_Compound, "
            f"which has {' and '.join(names)}; it lacks {' and '.join(absent)}"
        )
    classes = len(tensors["pred_em.weight"])
    vocabularies = {len(facs.expressions(vocabulary)): vocabulary for vocabulary in get_args(facs.VocabularyName)}
    if classes not in vocabularies:
        raise CheckpointError(f"{where}: pred_em.weight must have 7 rows (basic) or 11 (compound), got {classes}")
    width = tensors.get("fc_em_fuse_3.1.weight")
    return ModelConfig(
        backbone="resnet101",
        vocabulary=vocabularies[classes],
        preprocessing=preprocessing,
        fusion_dim=ModelConfig.fusion_dim if width is None else len(width),
        attention="sigmoid" if vocabularies[classes] == "compound" else "softmax",
        upstream_region_order=True,
    )


def convert(
    tensors: dict[str, Tensor], config: ModelConfig, where: str, partial: bool = False
) -> tuple[dict[str, Tensor], ImportReport]:
    """Our tensors from their state dict, for the network of `config`; `where` names it in messages.

    What is used is removed from `tensors` on the way, so that no more than one copy of the weights is kept. `partial`:
    a state dict without the action unit branch or the fusion gets random ones, to train, instead of an error.

    Raises:
        CheckpointError: tensors that are missing, of another shape, or not finite; `tensors` is whole then, unless one
            was not finite.
    """
    shapes = _shapes(config)
    origins = {name: _origin(name) for name in shapes}
    stage = _stage(tensors)
    fresh = _absent_parts(tensors, origins, where, partial)
    kept = [name for name in shapes if name.partition(".")[0] not in fresh]
    _check(tensors, {n: s for name in kept for n, s in _expected(name, origins[name], shapes[name])}, where)
    prior = LearnablePrior(config.vocabulary)
    if PRIOR in tensors:
        _check(tensors, {PRIOR: prior.table.shape}, where)
    before = len(tensors)
    state: dict[str, Tensor] = {}
    for name in kept:
        taken = [_take(tensors, theirs, where) for theirs in origins[name].names if theirs in tensors]
        counter = name.endswith(_COUNTER)
        state[name] = torch.tensor(int(taken[0]) if taken else 0) if counter else origins[name].assemble(taken)
    clamped = 0
    if PRIOR in tensors:
        table = _take(tensors, PRIOR, where)
        inside = table.clamp(prior.low, prior.high)
        clamped = int((inside != table).sum())
        if stage in ("action_unit", "fusion"):
            state[PRIOR_KEY] = inside
    if fresh:
        torch.manual_seed(0)
        random = build_network(config).state_dict()
        state |= {name: tensor for name, tensor in random.items() if name.partition(".")[0] in fresh}
    left = sorted(tensors)
    unused = tuple(name for name in left if _SPARE_HEADS.fullmatch(name))
    unknown = tuple(name for name in left if name not in unused)
    return state, ImportReport(stage, before - len(left), unused, unknown, tuple(fresh), clamped)


def expected_tensors(config: ModelConfig) -> dict[str, torch.Size]:
    """Name and shape of every tensor that their network has for `config`; their prior and spare heads apart."""
    shapes = _shapes(config)
    return {n: s for name, shape in shapes.items() for n, s in _expected(name, _origin(name), shape)}


def save_imported(
    output: Path, state: dict[str, Tensor], config: ModelConfig, report: ImportReport, landmarks: Path
) -> None:
    """Write an import as one of our checkpoints, with the landmark net of checkpoint `landmarks` (theirs has none).

    Its licence is given as unknown: the authors' repository states none.

    Raises:
        CheckpointError: `landmarks` cannot be read.
    """
    read_info(landmarks)
    net = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(landmarks).items()
        if name.startswith("landmark_net.")
    }
    if not net:
        raise CheckpointError(f"{landmarks} has no landmark net; give a checkpoint of aue-crl train --stage landmark")
    info = CheckpointInfo(config, report.stage, classes=config.expressions, license="unknown")
    write_tensors(output, {**state, **net}, {METADATA_KEY: info.to_json()})


def _describe(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    return f"a dict in which {', '.join(others[:5])} are no tensors"


def _stage(tensors: dict[str, Tensor]) -> str:
    """A part's BatchNorm has counted batches if, and only if, a stage has trained it."""
    return next((stage for stage, name in _STAGE_COUNTERS.items() if name in tensors and tensors[name].item() > 0), "")


def _shapes(config: ModelConfig) -> dict[str, torch.Size]:
    """Our tensors' shapes, the landmark net's apart, without their memory."""
    with torch.device("meta"):
        state = build_network(config).state_dict()
    return {name: tensor.shape for name, tensor in state.items() if not name.startswith("landmark_net.")}


def _origin(name: str) -> Origin:
    """Where our tensor `name` lies in theirs."""
    part, leaf = name.rsplit(".", 1)
    if part == "action_unit_branch.region_conv":
        return Origin(tuple(f"Crop_Net_1.{r}.0.{leaf}" for r in range(REGIONS)), "concatenate")
    if part == "action_unit_branch.region_linear":
        names = tuple(f"Crop_Net_2.{r}.0.{leaf}" for r in range(REGIONS))
        return Origin(names, "stack_transposed" if leaf == "weight" else "stack")
    if part == "fusion.unit_linear":
        names = tuple(f"fc_au_fuse_3.{i}.1.{leaf}" for i in range(NUM_UNITS))
        return Origin(names, "stack_transposed" if leaf == "weight" else "stack")
    if part == "fusion.unit_norm":
        return Origin(tuple(f"fc_au_fuse_3.{i}.2.{leaf}" for i in range(NUM_UNITS)), "concatenate")
    for pattern, theirs in _RENAMED:
        renamed, count = pattern.subn(theirs, name)
        if count:
            return Origin((renamed,), "copy")
    return Origin((name,), "copy")


_RENAMED: Final = (
    (re.compile(r"^expression_branch\.reduce\."), "reduce_dim_em."),
    (re.compile(r"^expression_branch\.classifier\."), "pred_em."),
    (re.compile(r"^action_unit_branch\.decoder\.upsample\.0\."), "deconv_layer1."),
    (re.compile(r"^action_unit_branch\.decoder\.upsample\.1\."), "deconv_layer2."),
    (re.compile(r"^action_unit_branch\.decoder\.upsample\.2\."), "deconv_layer3."),
    (re.compile(r"^action_unit_branch\.decoder\.merge\.0\."), "reduce_dim_1_au."),
    (re.compile(r"^action_unit_branch\.decoder\.merge\.1\."), "reduce_dim_2_au."),
    (re.compile(r"^action_unit_branch\.decoder\.merge\.2\."), "reduce_dim_3_au."),
    (re.compile(r"^action_unit_branch\.classifier\."), "pred_au.0."),
    (re.compile(r"^fusion\.expression_linear\."), "fc_em_fuse_3.1."),
    (re.compile(r"^fusion\.expression_norm\."), "fc_em_fuse_3.2."),
    (re.compile(r"^fusion\.score\."), "fc_attention_fuse_3.0."),
    (re.compile(r"^fusion\.classifier\."), "pred_em_fuse_3."),
)


def _absent_parts(tensors: dict[str, Tensor], origins: dict[str, Origin], where: str, partial: bool) -> list[str]:
    """Parts of which the file has no tensor at all.

    Raises:
        CheckpointError: there are some, and `partial` is not set.
    """
    present = {name.partition(".")[0] for name, origin in origins.items() if any(n in tensors for n in origin.names)}
    absent = [part for part in _PARTS if part not in present]
    if absent and not partial:
        raise CheckpointError(
            f"{where} has no tensor of {' and '.join(absent)}: it is a checkpoint of an earlier stage; "
            "--partial gives these random weights, to go on training with aue-crl train --init"
        )
    return absent


def _expected(name: str, origin: Origin, ours: torch.Size) -> list[tuple[str, torch.Size]]:
    shape = torch.Size([]) if name.endswith(_COUNTER) else origin.shape(ours)
    return [(theirs, shape) for theirs in origin.names]


def _check(tensors: dict[str, Tensor], expected: dict[str, torch.Size], where: str) -> None:
    """Every tensor is there (counters may be absent: torch below 0.4.1 had none), of its shape and kind."""
    for name, shape in expected.items():
        tensor, counter = tensors.get(name), name.endswith(_COUNTER)
        if tensor is None and counter:
            continue
        if tensor is None or tensor.shape != shape or tensor.is_floating_point() == counter:
            kind = "whole number" if counter else "floating point"
            got = "none" if tensor is None else f"{tuple(tensor.shape)} of {tensor.dtype}"
            raise CheckpointError(
                f"{where}: {name} must be {tuple(shape)}, {kind}, got {got}; "
                "the checkpoint must come from the authors' published model.py"
            )


def _take(tensors: dict[str, Tensor], name: str, where: str) -> Tensor:
    """Remove a tensor from `tensors` and return it, float32 if it is no counter."""
    tensor = tensors.pop(name)
    if not tensor.is_floating_point():
        return tensor
    if not tensor.isfinite().all():
        raise CheckpointError(f"{where}: {name} must be finite, got NaN or inf: that training had diverged")
    return tensor.float()
