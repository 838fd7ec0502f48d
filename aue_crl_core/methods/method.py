"""What a method is: a row of the table, and what its head and its loss hand each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from torch import Tensor, nn

from aue_crl_core.config import MethodName, ModelConfig
from aue_crl_core.types import Image, Points

if TYPE_CHECKING:
    import numpy as np

    from aue_crl_core.data.transforms import Augmentation

T = TypeVar("T")


class HeadOutput(NamedTuple):
    """What a head makes of B faces; every tensor has the leading dimension B.

    `logits` BxC in label order; `feature` BxD, what the method's loss compacts; `extras` what else the loss needs.
    """

    logits: Tensor
    feature: Tensor
    extras: dict[str, Tensor]


class MethodBatch(NamedTuple):
    """What a method's loss knows of B faces.

    `target` float32 BxC, class weights that sum to 1; `label` int64 B, their largest; `identity` int64 B, who it is (-1
    where unknown); `points` float32 Bx68x2 in input pixels; `has_points` bool B, whether those are the index's.
    """

    target: Tensor
    label: Tensor
    identity: Tensor
    points: Tensor
    has_points: Tensor


def same(value: T) -> T:
    """What it is given."""
    return value


@dataclass(frozen=True)
class Method:
    """A row of the table of methods: what each adds to a trunk, a classifier and balanced cross entropy.

    Heads and trunks are built on torch's `meta` device too (to check a file before it is loaded), are exported to ONNX
    and run under autocast.
    """

    name: MethodName
    title: str
    """As the tables of papers call it."""
    source: str
    """The paper."""
    head: Callable[[ModelConfig, tuple[int, ...]], nn.Module] | None
    """(config, channels of the trunk's maps) -> a module (pyramid, points Bx68x2 in input pixels, images Bx3xSxS
    normalised) -> `HeadOutput`; None: the network is AUE-CRL's own."""
    criterion: Callable[[ModelConfig], nn.Module] | None = None
    """A module (`HeadOutput`, `MethodBatch`) -> weighted terms by name, to be added to the cross entropy of `logits`.

    It sees the rows of all processes, in training mode only while training; its state is kept with the run's, not in
    checkpoints. Parameters train with the network's learning rate; centres with a rate of their own are buffers."""
    augmentation: Callable[[Augmentation], Augmentation] = same
    """The run's augmentation -> the one that the method trains with."""
    synthesis: Callable[[Image, Points, np.random.Generator], Image] | None = None
    """(crop SxSx3 uint8 RGB, its points 68x2, generator) -> crop: what a training face becomes before it is degraded;
    faces without points in the index stay as they are."""
    input: Literal["rgb", "grey"] = "rgb"
    whole: Callable[[ModelConfig], nn.Module] | None = None
    """A trunk in place of the run's: a module with `channels`, images -> as many maps."""
    needs: frozenset[Literal["identities", "points"]] = frozenset()
    """`identities`: an index that says who is on it. `points`: where the index has none, the landmark net's."""
