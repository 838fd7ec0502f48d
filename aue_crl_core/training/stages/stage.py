"""What a stage is: a row of the table, and what the losses of several stages share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core.config import Knowledge, ModelConfig
from aue_crl_core.data.dataset import Sample
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.losses import pairwise_dependency_loss
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.config import StageName, TrainConfig
from aue_crl_core.training.processes.processes import ALONE, Processes


@dataclass(frozen=True)
class Setting:
    """What a loss needs besides the batch: `log_frequency` C, log of each class's share in the training data;
    `processes`: those that hold the other rows of the batch; `criterion`: see `Stage`."""

    config: TrainConfig
    prior: LearnablePrior
    log_frequency: Tensor
    processes: Processes = ALONE
    criterion: nn.Module = field(default_factory=nn.Identity)


Losses = dict[str, Tensor]
"""Weighted terms by name; their sum is minimised."""

Inputs = tuple[Tensor, ...]
"""What the trained parts of a stage are fed with, each with a leading dimension B."""


class FeatureBatch(NamedTuple):
    """A batch whose `inputs` were computed before; `target` float32 BxC, class weights that sum to 1."""

    inputs: Inputs
    target: Tensor


@dataclass(frozen=True)
class Stage:
    """A row of the table."""

    name: StageName
    trained: tuple[str, ...]
    """Parts of the network by attribute path; all else is frozen, BatchNorm statistics too."""
    inputs: Callable[[FaceNetwork, Tensor, Sample], Inputs]
    """(network, images, sample): what the frozen parts make of a batch, images normalised; it needs no gradient."""
    loss: Callable[[FaceNetwork, Inputs, Sample | FeatureBatch, Setting], Losses]
    """(network, inputs, batch, setting): the terms to minimise. With several processes the mean over them is that of
    the whole batch, so a term that is no mean over rows is taken over all rows."""
    score: str
    """The validation figure by which epochs are compared; `loss` is the sum of the loss terms."""
    higher_is_better: bool
    follows: StageName | None = None
    """The stage that it builds on."""
    data: Literal["expressions", "points"] = "expressions"
    """Faces with expressions, or faces with points and pictures of no face."""
    any_size: bool = False
    """Whether the trained parts take smaller crops as well (`Schedule.small_epochs`)."""
    trains_prior: bool = False
    logits: Callable[[FaceNetwork, Inputs], Tensor] | None = None
    """(network, inputs): the head whose accuracy validation measures beside the loss terms."""
    loss_of_logits: Callable[[Tensor, Sample | FeatureBatch, Setting], Losses] | None = None
    """(logits, batch, setting): the loss of a stage that sees nothing but these; validation runs the network once."""
    input_shapes: Callable[[ModelConfig], tuple[tuple[int, ...], ...]] | None = None
    """The shapes of one image's inputs, for a stage whose inputs can be kept on disk."""
    measure: Callable[[FaceNetwork, Inputs, Sample], dict[str, tuple[float, int]]] | None = None
    """(network, inputs, sample): figures of validation beside the loss terms, each a mean and of how many rows."""
    knowledge: Knowledge | None = None
    """What networks it trains, by their `ModelConfig.knowledge`; None: all. With "odds" it learns from the evidence of
    AUs in the index (blendshapes and mesh distances)."""
    keeps_stem: bool = False
    """Whether the trunk's part up to its stride-4 map stays frozen."""
    calibrated: bool = False
    """Whether its checkpoint is calibrated."""
    keeps_expressions: bool = False
    """Whether the expressions stay those of the weights that it starts from, and what was measured of them holds."""
    criterion: Callable[[ModelConfig], nn.Module] = lambda config: nn.Identity()
    """What its loss has a state of, such as the centres of classes; used in training only."""

    def prepare(
        self, network: FaceNetwork, prior: LearnablePrior, training: bool
    ) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Set modes and gradients for this stage; the parameters to train, of the network and of the prior."""
        network.eval().requires_grad_(False)
        prior.requires_grad_(self.trains_prior)
        parameters: list[nn.Parameter] = []
        for path in self.trained:
            part = network.get_submodule(path)
            part.train(training).requires_grad_(True)
            if self.keeps_stem and path == "backbone":
                for module in network.backbone.stem_modules():
                    module.eval().requires_grad_(False)
            parameters += [p for p in part.parameters() if p.requires_grad]
        return parameters, list(prior.parameters()) if self.trains_prior else []

    def is_better(self, score: float, best: float | None) -> bool:
        """Whether `score` beats the best of earlier epochs (None: there was none)."""
        return best is None or (score > best if self.higher_is_better else score < best)


def sample_points(network: FaceNetwork, images: Tensor, sample: Sample) -> Tensor:
    """The index's points, or the landmark net's where the index has none: Bx68x2 in input pixels."""
    if bool(sample.has_points.all()):
        return sample.points
    return torch.where(sample.has_points[:, None, None], sample.points, network.find_points(images))


def balanced_cross_entropy(logits: Tensor, target: Tensor, setting: Setting) -> Tensor:
    """Cross entropy with class distributions, logits adjusted by class frequency (Menon et al., ICLR 2021).

    `logits` and `target` float BxC; the result is a scalar.
    """
    adjusted = logits.float() + setting.config.logit_adjustment * setting.log_frequency
    smoothing = setting.config.label_smoothing
    target = (1 - smoothing) * target + smoothing / target.shape[1]
    return F.cross_entropy(adjusted, target)


def pairwise_of_all_rows(probabilities: Tensor, setting: Setting) -> Tensor:
    """The pairwise loss over the rows of all processes: it compares means over the batch, and is no mean itself."""
    return pairwise_dependency_loss(setting.processes.gather_rows(probabilities.float()), setting.config.pairwise_form)


def image_inputs(network: FaceNetwork, images: Tensor, sample: Sample) -> Inputs:
    """Nothing is frozen before the trained parts: the images themselves."""
    return (images,)
