"""Settings of a training run; `--config FILE` is a YAML of these names."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

from aue_crl_core import facs
from aue_crl_core.config import (
    Knowledge,
    MethodName,
    ModelConfig,
    ModelName,
    Preprocessing,
    from_dict,
    model_config,
    require,
)
from aue_crl_core.data.transforms import Augmentation
from aue_crl_core.errors import ConfigError
from aue_crl_core.text import read_text, yaml_node, yaml_value

PairwiseForm = Literal["corrected", "upstream"]
Compiler = Literal["none", "inductor", "aot_eager"]
StageName = Literal["landmark", "expression", "action_unit", "fusion", "joint", "evidence"]

CACHEABLE: Final[tuple[StageName, ...]] = ("action_unit", "fusion")
"""Stages that see nothing of an image but what frozen parts make of it."""


@dataclass(frozen=True)
class Schedule:
    """How long a stage trains and how its learning rate moves.

    `cosine` falls from `lr` to 1 % of it after `warmup` epochs of linear rise; `step` multiplies by 0.1 after each
    epoch of `milestones` (the paper: lr 0.01, milestones 15 and 30 of 40). The first `small_epochs` epochs see crops of
    `small_size` pixels instead of the model's own (progressive resizing; stage expression only): cheaper, and early
    epochs lose little by it.

    `patience`: the stage ends after so many epochs in turn without a better validation score, not before as many
    epochs at full size; 0: it runs all its epochs. Never by default: under `cosine` the best epochs are the last ones.
    """

    epochs: int
    lr: float
    kind: Literal["cosine", "step"] = "cosine"
    warmup: float = 0.5
    milestones: tuple[int, ...] = ()
    small_epochs: int = 0
    small_size: int = 64
    patience: int = 0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", "be at least 1", self.epochs)
        require(0 < self.lr < math.inf, "lr", "be positive", self.lr)
        require(self.kind in ("cosine", "step"), "kind", "be cosine or step", self.kind)
        require(self.small_epochs >= 0, "small_epochs", "be at least 0", self.small_epochs)
        require(
            self.small_size % 32 == 0 and self.small_size >= 32, "small_size", "be a multiple of 32", self.small_size
        )
        require(self.warmup >= 0, "warmup", "be at least 0 epochs", self.warmup)
        require(self.patience >= 0, "patience", "be at least 0 epochs (0: no early stopping)", self.patience)

    def is_over(self, epochs: int, since_best: int) -> bool:
        """Whether a stage ends after `epochs` epochs, the last `since_best` of which were no better than the best."""
        patient = self.patience == 0 or since_best < self.patience or epochs < self.small_epochs + self.patience
        return epochs >= self.epochs or not patient

    def factor(self, epoch: float) -> float:
        """The learning rate at `epoch` (fractional, from 0), in units of `lr`."""
        if self.kind == "step":
            return 0.1 ** sum(epoch >= m for m in self.milestones)
        if epoch < self.warmup:
            return max(epoch / self.warmup, 0.01)
        done = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


_NESTED: Final = {"nested": Schedule}


@dataclass(frozen=True)
class TrainConfig:
    """A run, apart from its data.

    `method`: AUE-CRL, or one of those that it is compared with (see `methods`), on the trunk of `model`.
    `logit_adjustment`: how much of log(class frequency) is added to the logits in the expression losses, 0 for none, 1
    for a classifier that treats all classes as equally frequent (Menon et al., ICLR 2021). `ema`: decay per step of the
    averaged weights that are validated and kept, 0 for none. `label_smoothing`: share of the target spread evenly.
    `precision`: `auto` is bf16 where the processor has it. `held_out`: share of `train` that becomes `valid` in an
    index without that split. `knowledge`: what the prior is to the AU outputs (`ModelConfig`; None: the model's own).
    `pairwise_form`: the pairwise loss as the authors wrote it, or corrected (see `losses`).

    `cache_views`: the stages of `cache_stages`, all of whose inputs come from frozen parts, keep them on disk for this
    many augmented views of every image and go through the views in turn (see `feature_cache`); 0: fresh pictures in
    every epoch, as also where a stage has no more epochs than views. `cache_stages`: `fusion`, and `action_unit`, whose
    inputs are many times larger. `cache_dir`: where; empty: in the run's directory, removed when the stage is done.
    `cache_max_gb`: the most that all caches there may hold, in 10^9 bytes.

    `channels_last`: memory format of the convolutions. `compile`: a backend of `torch.compile`, or none.
    `fused_optimizer`: one kernel for the whole optimiser step.
    """

    model: ModelName = "edge"
    method: MethodName = "aue_crl"
    vocabulary: facs.VocabularyName = "basic"
    fusion_dim: int | None = None
    knowledge: Knowledge | None = None
    preprocessing: Preprocessing | None = field(default=None, metadata={"nested": Preprocessing})
    landmark: Schedule = field(default_factory=partial(Schedule, 24, 2e-3), metadata=_NESTED)
    expression: Schedule = field(default_factory=partial(Schedule, 24, 2e-3), metadata=_NESTED)
    action_unit: Schedule = field(default_factory=partial(Schedule, 5, 1e-3), metadata=_NESTED)
    fusion: Schedule = field(default_factory=partial(Schedule, 4, 1e-3), metadata=_NESTED)
    joint: Schedule = field(default_factory=partial(Schedule, 8, 1e-3), metadata=_NESTED)
    evidence: Schedule = field(default_factory=partial(Schedule, 6, 1e-3), metadata=_NESTED)
    batch_size: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.05
    momentum: float = 0.9
    logit_adjustment: float = 0.5
    label_smoothing: float = 0.05
    ema: float = 0.998
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    pairwise_form: PairwiseForm = "corrected"
    held_out: float = 0.1
    workers: int = 1
    seed: int = 0
    cache_views: int = 8
    cache_stages: tuple[StageName, ...] = ("fusion",)
    cache_dir: str = ""
    cache_max_gb: float = 20.0
    channels_last: bool = True
    compile: Compiler = "none"
    fused_optimizer: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation, metadata={"nested": Augmentation})

    def __post_init__(self) -> None:
        models, vocabularies, methods = get_args(ModelName), get_args(facs.VocabularyName), get_args(MethodName)
        require(self.model in models, "model", f"be one of {', '.join(models)}", self.model)
        require(self.method in methods, "method", f"be one of {', '.join(methods)}", self.method)
        require(self.vocabulary in vocabularies, "vocabulary", f"be one of {', '.join(vocabularies)}", self.vocabulary)
        whole = self.fusion_dim is None or (isinstance(self.fusion_dim, int) and self.fusion_dim >= 1)
        require(whole, "fusion_dim", "be a whole number of at least 1", self.fusion_dim)
        forms = get_args(PairwiseForm)
        require(self.pairwise_form in forms, "pairwise_form", f"be one of {', '.join(forms)}", self.pairwise_form)
        require(self.weight_decay >= 0, "weight_decay", "be at least 0", self.weight_decay)
        require(0 <= self.momentum < 1, "momentum", "be in [0, 1)", self.momentum)
        require(self.batch_size >= 2, "batch_size", "be at least 2 (batch normalisation)", self.batch_size)
        require(self.optimizer in ("adamw", "sgd"), "optimizer", "be adamw or sgd", self.optimizer)
        require(self.precision in ("auto", "fp32", "bf16"), "precision", "be auto, fp32 or bf16", self.precision)
        require(0 <= self.logit_adjustment <= 2, "logit_adjustment", "be in [0, 2]", self.logit_adjustment)
        require(0 <= self.label_smoothing < 1, "label_smoothing", "be in [0, 1)", self.label_smoothing)
        require(0 <= self.ema < 1, "ema", "be in [0, 1)", self.ema)
        require(0 <= self.held_out < 1, "held_out", "be in [0, 1)", self.held_out)
        require(self.workers >= 0, "workers", "be at least 0", self.workers)
        require(self.cache_views >= 0, "cache_views", "be at least 0", self.cache_views)
        known = set(self.cache_stages) <= set(CACHEABLE)
        require(known, "cache_stages", f"be among {', '.join(CACHEABLE)}", list(self.cache_stages))
        require(isinstance(self.cache_dir, str), "cache_dir", "be the name of a folder", self.cache_dir)
        require(self.cache_max_gb > 0, "cache_max_gb", "be positive", self.cache_max_gb)
        compilers = get_args(Compiler)
        require(self.compile in compilers, "compile", f"be one of {', '.join(compilers)}", self.compile)
        for name in ("channels_last", "fused_optimizer"):
            require(isinstance(getattr(self, name), bool), name, "be true or false", getattr(self, name))

    def network(self) -> ModelConfig:
        """The network that a run without a checkpoint to start from trains."""
        changes = {"fusion_dim": self.fusion_dim, "knowledge": self.knowledge, "preprocessing": self.preprocessing}
        changes["method"] = self.method
        own = model_config(self.model, self.vocabulary)
        return dataclasses.replace(own, **{name: value for name, value in changes.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict(TrainConfig, ...)` reads them back."""
        return dataclasses.asdict(self)


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, not YAML, or not a mapping.
    """
    if not path.is_file():
        raise ConfigError(f"--config must name a YAML file, got {path} (no such file)")
    node = yaml_node(read_text(path, ConfigError), str(path))
    try:
        values = None if node is None else yaml_value(node)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold 'name: value' lines, got {type(values).__name__}")
    return values


def write_config(path: Path, config: TrainConfig) -> None:
    """Write all settings as a YAML file that `make_config` reads back."""
    import yaml

    text = yaml.safe_dump(json.loads(json.dumps(config.to_dict())), sort_keys=False, default_flow_style=None)
    path.write_text(f"# All settings of this run: aue-crl train --config {path.name} ... makes the same again.\n{text}")


def make_config(path: Path | None, **overrides: Any) -> TrainConfig:
    """The defaults, then the file, then the overrides that are not None."""
    values = read_config(path) if path else {}
    values.update({k: v for k, v in overrides.items() if v is not None})
    return from_dict(TrainConfig, values, str(path or "the options"))
