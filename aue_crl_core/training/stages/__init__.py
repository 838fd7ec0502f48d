"""The training stages as a table: what is trained, what it minimises, and what counts as better.

The paper's three are `expression`, `action_unit` and `fusion`; `joint` takes the place of the last two in networks
whose knowledge is `odds` (see `ModelConfig`), and `evidence` repeats its last part alone; `landmark` trains the net
that finds the face points, which the paper took from a tool. A stage is one file and one line here.
"""

from __future__ import annotations

from typing import Final

from aue_crl_core.config import Knowledge, ModelConfig
from aue_crl_core.training.config import StageName
from aue_crl_core.training.stages import action_unit, evidence, expression, fusion, joint, landmark, method
from aue_crl_core.training.stages.stage import FeatureBatch, Inputs, Losses, Setting, Stage

__all__ = [
    "SEQUENCES",
    "STAGES",
    "FeatureBatch",
    "Inputs",
    "Losses",
    "Setting",
    "Stage",
    "sequence",
    "stage_of",
]

STAGES: Final[dict[StageName, Stage]] = {
    "landmark": landmark.STAGE,
    "expression": expression.STAGE,
    "action_unit": action_unit.STAGE,
    "fusion": fusion.STAGE,
    "joint": joint.STAGE,
    "evidence": evidence.STAGE,
}
"""All stages, the earlier ones first."""

SEQUENCES: Final[dict[Knowledge, tuple[StageName, ...]]] = {
    "targets": ("expression", "action_unit", "fusion"),
    "odds": ("expression", "joint"),
}
"""What `--stage all` runs for AUE-CRL, in order, by `ModelConfig.knowledge`; "targets" are the paper's stages."""


def stage_of(name: StageName, config: ModelConfig) -> Stage:
    """The stage `name` of a network: the other methods have a stage expression of their own."""
    return method.STAGE if name == "expression" and config.method != "aue_crl" else STAGES[name]


def sequence(config: ModelConfig) -> tuple[StageName, ...]:
    """What `--stage all` runs, in order."""
    return SEQUENCES[config.knowledge] if config.method == "aue_crl" else ("expression",)
