"""Settings as small dataclasses that check themselves; they travel inside checkpoints as plain JSON."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, get_args

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError, brief

T = TypeVar("T")

_LARGEST_INT: Final = 2**63 - 1

ModelName = Literal["resnet101", "resnet50", "resnet18", "mobilenet_v2", "edge"]
Knowledge = Literal["targets", "odds"]
MethodName = Literal[
    "softmax",
    "center",
    "island",
    "dlp_cnn",
    "dcnn_da",
    "wslgrn",
    "fsn",
    "mre_cnn",
    "ia_cnn",
    "compact_dlm",
    "covariance_pooling",
    "aue_crl",
]


def require(ok: bool, name: str, must: str, got: object) -> None:
    """Raise `ConfigError` ("NAME must MUST, got GOT") unless `ok`."""
    if not ok:
        raise ConfigError(f"{name} must {must}, got {brief(got)}")


def from_dict(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Build dataclass `kind` from a mapping, naming unknown keys. Lists become tuples; nested dataclasses recurse
    (where None is their default, None may stand for them).

    Raises:
        ConfigError: unknown or missing keys, values of another kind, or values that the class itself refuses.
    """
    require(isinstance(values, dict), where, "be a mapping of names to values", values)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields), key=str)
    if unknown:
        raise ConfigError(f"{where} has unknown keys {brief(unknown)}; known are {sorted(fields)}")
    arguments = {}
    for key, value in values.items():
        nested = fields[key].metadata.get("nested")
        if nested is not None and not (value is None and fields[key].default is None):
            value = from_dict(nested, value, f"{where}.{key}")
        elif nested is None:
            _require_kind(str(fields[key].type), value, f"{where}.{key}")
        arguments[key] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**arguments)
    except (TypeError, OverflowError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _require_kind(kind: str, value: object, name: str) -> None:
    """Numbers must be numbers (YAML reads `1e-3` as text, and a truth value would pass for 1), tuples lists of them.

    `kind` is the field's annotation; other kinds are left to the class.
    """
    if kind.endswith(" | None"):
        if value is None:
            return
        kind = kind.removesuffix(" | None")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int":
        whole = number and isinstance(value, int)
        require(whole and abs(value) <= _LARGEST_INT, name, "be a whole number", value)  # type: ignore[arg-type]
    elif kind == "float":
        finite = number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
        require(finite, name, "be a finite number (in YAML write 1.0e-3, not 1e-3)", value)
    elif kind.startswith("tuple["):
        require(isinstance(value, (list, tuple)), name, "be a list", value)
        for item in value:  # type: ignore[attr-defined]
            _require_kind(kind[len("tuple[") : -1].removesuffix(", ..."), item, f"every value of {name}")


@dataclass(frozen=True)
class Preprocessing:
    """From face points to network input; written once, used by training and every engine.

    The crop is a square of side `(1 + margin) * max(w, h)` of the points' bounding box in the face's own (roll-free)
    axes, its centre `lift` sides above the centre of that box, resampled to `input_size` pixels.
    Channels are RGB, scaled to [0, 1], then `(value - mean) / std`.
    """

    input_size: int = 224
    margin: float = 0.3
    lift: float = 0.05
    align: bool = True
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        require(32 <= self.input_size <= 512, "input_size", "be in [32, 512] pixels", self.input_size)
        require(0 <= self.margin <= 2, "margin", "be in [0, 2]", self.margin)
        require(-0.5 <= self.lift <= 0.5, "lift", "be in [-0.5, 0.5]", self.lift)
        require(len(self.mean) == 3, "mean", "have 3 values (RGB)", self.mean)
        require(len(self.std) == 3 and min(self.std) > 0, "std", "have 3 positive values (RGB)", self.std)


@dataclass(frozen=True)
class ModelConfig:
    """The shape of an AUE-CRL network (REFERENCE: ICRA 2021, section III); defaults are the paper's.

    `decoder_channels`: outputs of the three merge convolutions (strides 16, 8, 4). `decoder_upsampling`: learned 4x4
    stride-2 deconvolution (paper) or nearest neighbour. `region_size`: side of an AU window on the stride-4 map.
    `region_channels`: outputs of a region's own convolution. `region_pool`: the window is average-pooled to this side
    before the region's linear layer (`None`: not pooled, as in the paper). `region_dim`: length of a region vector.
    `upstream_region_order`: pair region vectors before fusion as the authors' code does, where they are stacked as (AU,
    side) but viewed as (side, AU); needed only to reproduce its checkpoints. `attention`: how the AUs' scores become
    weights, a softmax over the AUs (paper) or each one's sigmoid, as in the authors' network for compound expressions.
    `knowledge`: what the prior is to the AU outputs, the targets that they are trained on (paper: they see the region
    vectors alone), or log-odds that the network adds to the evidence of the picture, for which a layer of
    `evidence_dim` units sees region vectors, expression feature and face points; `intensity_units`: FACS codes, in
    order, of the AUs whose intensity that layer tells as well (`training.weights.intensity`). `uncertain_below`: no
    part of the shape, but of what the weights are worth: answers of less confidence are better not relied on (see
    `training.weights.calibration`). `top_channels` and `feature_rank`: channels of MobileNetV2's last map and rank of
    the expression branch's convolution, where they were narrowed after training (`checkpoint.slim`). `method`: AUE-CRL,
    or one that it is compared with (`methods`): that one's head on the trunk, of which `feature_dim` and `dropout` are
    the only other settings.
    """

    backbone: ModelName = "resnet101"
    vocabulary: facs.VocabularyName = "basic"
    preprocessing: Preprocessing = field(default_factory=Preprocessing, metadata={"nested": Preprocessing})
    feature_dim: int = 1024
    decoder_channels: tuple[int, ...] = (1024, 512, 64)
    decoder_upsampling: Literal["deconvolution", "nearest"] = "deconvolution"
    region_size: int = 24
    region_channels: int = 64
    region_pool: int | None = None
    region_dim: int = 256
    fusion_dim: int = 1024
    dropout: float = 0.5
    upstream_region_order: bool = False
    attention: Literal["softmax", "sigmoid"] = "softmax"
    knowledge: Knowledge = "targets"
    evidence_dim: int = 192
    intensity_units: tuple[int, ...] = ()
    uncertain_below: float = 0.4
    top_channels: int | None = None
    feature_rank: int | None = None
    method: MethodName = "aue_crl"

    def __post_init__(self) -> None:
        require(
            self.backbone in get_args(ModelName),
            "backbone",
            f"be one of {', '.join(get_args(ModelName))}",
            self.backbone,
        )
        require(self.vocabulary in ("basic", "compound"), "vocabulary", "be basic or compound", self.vocabulary)
        for name in ("feature_dim", "region_channels", "region_dim", "fusion_dim", "evidence_dim"):
            require(getattr(self, name) >= 1, name, "be at least 1", getattr(self, name))
        for name in ("top_channels", "feature_rank"):
            width = getattr(self, name)
            require(width is None or width >= 1, name, "be None or at least 1", width)
        may_narrow = self.top_channels is None or self.backbone == "mobilenet_v2"
        require(may_narrow, "top_channels", "be None but for mobilenet_v2", self.top_channels)
        require(len(self.decoder_channels) == 3, "decoder_channels", "have 3 values", self.decoder_channels)
        require(
            self.decoder_upsampling in ("deconvolution", "nearest"),
            "decoder_upsampling",
            "be deconvolution or nearest",
            self.decoder_upsampling,
        )
        require(0 <= self.uncertain_below <= 1, "uncertain_below", "be in [0, 1]", self.uncertain_below)
        size = self.preprocessing.input_size
        require(size % 32 == 0, "preprocessing.input_size", "be a multiple of 32", size)
        require(
            2 <= self.region_size <= size // 4,
            "region_size",
            f"be in [2, {size // 4}] (the stride-4 map's side)",
            self.region_size,
        )
        require(
            self.region_pool is None
            or (1 <= self.region_pool <= self.region_size and self.region_size % self.region_pool == 0),
            "region_pool",
            f"be None or divide region_size ({self.region_size})",
            self.region_pool,
        )
        require(0 <= self.dropout < 1, "dropout", "be in [0, 1)", self.dropout)
        require(self.attention in ("softmax", "sigmoid"), "attention", "be softmax or sigmoid", self.attention)
        require(self.knowledge in get_args(Knowledge), "knowledge", "be targets or odds", self.knowledge)
        units = tuple(unit for unit in facs.ACTION_UNITS if unit in self.intensity_units)
        must = f"be among {brief(list(facs.ACTION_UNITS))}, ascending"
        require(self.intensity_units == units, "intensity_units", must, self.intensity_units)
        told = self.knowledge == "odds" and self.method == "aue_crl"
        must = "be empty but with knowledge odds and method aue_crl"
        require(told or not units, "intensity_units", must, self.intensity_units)
        methods = get_args(MethodName)
        require(self.method in methods, "method", f"be one of {', '.join(methods)}", self.method)

    @property
    def action_units(self) -> tuple[int, ...]:
        """FACS codes in the order of the outputs; none where the network says nothing of action units."""
        return facs.ACTION_UNITS if self.method == "aue_crl" else ()

    @property
    def expressions(self) -> tuple[str, ...]:
        """Class names in label order."""
        return facs.expressions(self.vocabulary)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict(ModelConfig, ...)` reads them back."""
        return dataclasses.asdict(self)


_EDGE: Final = ModelConfig(
    backbone="edge",
    preprocessing=Preprocessing(input_size=96),
    feature_dim=256,
    decoder_channels=(64, 64, 48),
    decoder_upsampling="nearest",
    region_size=10,
    region_channels=12,
    region_pool=5,
    region_dim=32,
    fusion_dim=128,
    dropout=0.3,
)

_MOBILE: Final = dataclasses.replace(
    _EDGE, backbone="mobilenet_v2", decoder_channels=(64, 48, 32), region_channels=8, knowledge="odds"
)


def model_config(name: ModelName, vocabulary: facs.VocabularyName = "basic") -> ModelConfig:
    """The configuration behind `--model NAME`."""
    if name == "edge":
        return dataclasses.replace(_EDGE, vocabulary=vocabulary)
    if name == "mobilenet_v2":
        return dataclasses.replace(_MOBILE, vocabulary=vocabulary)
    return ModelConfig(backbone=name, vocabulary=vocabulary)
