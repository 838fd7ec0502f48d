"""The training stages as a table: what is trained, what it minimises, and what counts as better.

The paper's three are `expression`, `action_unit` and `fusion`; `joint` takes the place of the last two in networks
whose knowledge is `odds` (see `ModelConfig`); `landmark` trains the net that finds the face points, which the paper
took from a tool. A stage is one file and one line here.
"""

from __future__ import annotations

from typing import Final

from aue_crl_core.config import Knowledge
from aue_crl_core.training.config import StageName
from aue_crl_core.training.stages import action_unit, expression, fusion, joint, landmark
from aue_crl_core.training.stages.stage import FeatureBatch, Inputs, Losses, Setting, Stage

__all__ = ["SEQUENCES", "STAGES", "FeatureBatch", "Inputs", "Losses", "Setting", "Stage"]

STAGES: Final[dict[StageName, Stage]] = {
    "landmark": landmark.STAGE,
    "expression": expression.STAGE,
    "action_unit": action_unit.STAGE,
    "fusion": fusion.STAGE,
    "joint": joint.STAGE,
}
"""All stages, the earlier ones first."""

SEQUENCES: Final[dict[Knowledge, tuple[StageName, ...]]] = {
    "targets": ("expression", "action_unit", "fusion"),
    "odds": ("expression", "joint"),
}
"""What `--stage all` runs, in order, by `ModelConfig.knowledge`; "targets" are the paper's stages."""
