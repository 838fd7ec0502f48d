"""What datasets call the seven expressions and the splits: folders, cells and codes of every layout, in any case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXPRESSIONS: Final = {
    "surprise": ("surprised", "su", "sur"),
    "fear": ("fearful", "scared", "afraid", "af", "fe"),
    "disgust": ("disgusted", "di", "dis"),
    "happiness": ("happy", "joy", "joyful", "ha", "hap"),
    "sadness": ("sad", "sa"),
    "anger": ("angry", "an", "ang"),
    "neutral": ("neutrality", "ne", "neu"),
}
"""Expression -> its other names; those of two letters are KDEF's and JAFFE's."""

SPLITS: Final = {
    "train": ("training", "train_set"),
    "valid": ("val", "validation", "dev", "development", "val_set", "publictest"),
    "test": ("testing", "test_set", "privatetest"),
}
"""Split -> its other names; `PublicTest` and `PrivateTest` are FER-2013's."""


def _by_name(table: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: key for key, others in table.items() for name in (key, *others)}


_EXPRESSION: Final = _by_name(EXPRESSIONS)
_SPLIT: Final = _by_name(SPLITS)


def expression_of(name: str) -> str | None:
    """The basic expression that `name` stands for, in any case; None where it stands for none."""
    return _EXPRESSION.get(name.strip().lower())


def split_of(name: str) -> str | None:
    """`train`, `valid` or `test` for any of their names, in any case; None for another name."""
    return _SPLIT.get(name.strip().lower())
