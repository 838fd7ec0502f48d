"""The vocabulary: expressions, action units, the psychological prior, and where on a face each action unit lives.

This is the one place for these tables; everything else refers to them by name.
Sources: Pu et al., ICRA 2021 (arXiv 2012.14587), tables I-II; Ekman, Friesen & Hager, *FACS* (2002) for names;
REP-155 / hri_msgs for the ROS4HRI spelling; iBUG 300-W for the order of the 68 face points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

VocabularyName = Literal["basic", "compound"]

BASIC_EXPRESSIONS: Final = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""The 7 basic expressions in label order 0-6 (RAF-DB writes them 1-7)."""

COMPOUND_EXPRESSIONS: Final = (
    "happily surprised",
    "happily disgusted",
    "sadly fearful",
    "sadly angry",
    "sadly surprised",
    "sadly disgusted",
    "fearfully angry",
    "fearfully surprised",
    "angrily surprised",
    "angrily disgusted",
    "disgustedly surprised",
)
"""The 11 compound expressions in label order 0-10 (RAF-DB writes them 1-11)."""

ACTION_UNITS: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 20, 23, 24, 25, 26)
MOST_INTENSITY: Final = 5.0
"""An action unit's intensity is in [0, this]; FACS writes 1 to 5 as A to E."""
"""FACS codes of the 17 action units, in the order of every network output."""

ACTION_UNIT_NAMES: Final = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
}

ROS4HRI_EXPRESSIONS: Final = {
    "surprise": "surprised",
    "fear": "scared",
    "disgust": "disgusted",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "neutral": "neutral",
}
"""Basic expression -> the string constant of hri_msgs/Expression (REP-155)."""

_Prior = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

BASIC_PRIOR: Final[_Prior] = {
    "surprise": ((1, 2, 5, 25, 26), (16,)),
    "fear": ((1, 2, 4, 5, 7, 20), (23, 25)),
    "disgust": ((9, 10), (17, 25)),
    "happiness": ((6, 12), (7, 25)),
    "sadness": ((1, 7, 15), (4, 6, 17)),
    "anger": ((4, 5, 23, 24), (7, 17)),
    "neutral": ((), ()),
}
"""Expression -> (primary AUs, secondary AUs)."""

COMPOUND_PRIOR: Final[_Prior] = {
    "happily surprised": ((1, 2, 12, 25), (5, 26)),
    "happily disgusted": ((10, 12, 25), (4, 6, 9)),
    "sadly fearful": ((1, 4, 20, 25), (2, 5, 6, 15)),
    "sadly angry": ((4, 15), (6, 7, 17)),
    "sadly surprised": ((1, 4, 25, 26), (2, 6)),
    "sadly disgusted": ((4, 10), (1, 6, 9, 15, 17, 25)),
    "fearfully angry": ((4, 20, 25), (5, 7, 10)),
    "fearfully surprised": ((1, 2, 5, 20, 25), (4, 10, 26)),
    "angrily surprised": ((4, 25, 26), (5, 7, 10)),
    "angrily disgusted": ((4, 10, 17), (7, 9, 24)),
    "disgustedly surprised": ((1, 2, 5, 10), (4, 9, 17, 24)),
}

CO_OCCURRING_PAIRS: Final = ((1, 2), (4, 7), (4, 9), (7, 9), (6, 12), (9, 17), (15, 17), (15, 24), (17, 24), (23, 24))
"""AU pairs that tend to appear together, whatever the expression."""

EXCLUSIVE_PAIRS: Final = ((2, 6), (2, 7), (12, 15), (12, 17))
"""AU pairs that tend to exclude each other."""


@dataclass(frozen=True)
class PriorLevel:
    """A row of the knowledge: where a learnable prior entry starts and the closed range it lives in."""

    start: float
    low: float
    high: float

    @property
    def centre(self) -> float:
        """The value that the prior regulariser pulls towards (0.875, 0.625 or 0.125)."""
        return (self.low + self.high) / 2


PRIMARY: Final = PriorLevel(start=1.0, low=0.75, high=1.0)
SECONDARY: Final = PriorLevel(start=0.5, low=0.5, high=0.75)
OTHER: Final = PriorLevel(start=0.1, low=0.0, high=0.25)

REGION_CENTRES: Final[dict[int, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    1: ((21,), (22,)),
    2: ((18,), (25,)),
    4: ((21, 22), (19, 24)),
    5: ((37, 38), (43, 44)),
    6: ((41,), (46,)),
    7: ((38,), (43,)),
    9: ((31,), (35,)),
    10: ((50,), (52,)),
    12: ((48,), (54,)),
    15: ((48,), (54,)),
    16: ((58,), (56,)),
    17: ((51,), (57,)),
    20: ((48,), (54,)),
    23: ((60,), (62,)),
    24: ((61,), (64,)),
    25: ((62,), (66,)),
    26: ((51,), (57,)),
}
"""AU -> its two region centres; a centre is the mean of the named face points (iBUG 68, 0-based)."""

NUM_POINTS: Final = 68

MIRRORED_POINTS: Final = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),  # nose
    *(45, 44, 43, 42, 47, 46),  # subject's right eye <- left eye
    *(39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lips
    *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lips
)
"""Index of the point that takes place i after a horizontal flip."""

MIDDLE_POINTS: Final = frozenset(i for i, mirrored in enumerate(MIRRORED_POINTS) if i == mirrored)
"""Points on the line between the halves of a face."""

RIGHT_EYE: Final = (36, 37, 38, 39, 40, 41)
"""The subject's right eye (left in the image); 36 is its outer corner."""
LEFT_EYE: Final = (42, 43, 44, 45, 46, 47)
"""The subject's left eye (right in the image); 45 is its outer corner."""
MOUTH: Final = tuple(range(48, 68))
"""The lips' points, outer and inner."""

RIGHT_POINTS: Final = frozenset({*range(8), *range(17, 22), 31, 32, *RIGHT_EYE, 48, 49, 50, 58, 59, 60, 61, 67})
LEFT_POINTS: Final = frozenset(range(NUM_POINTS)) - MIDDLE_POINTS - RIGHT_POINTS
"""Points on the subject's right (left in the image) and left half."""

SIDES: Final = ("left", "right")
"""Of the face, the subject's own."""
SIDED_UNITS: Final = (2, 4, 12, 20)
"""AUs that are told apart by side: those whose difference follows that of a face mesh's blendshapes (the model card
says how well)."""

OUTER_EYE_CORNERS: Final = (36, 45)

FACE_CONTOURS: Final = (
    (tuple(range(0, 17)), False),
    (tuple(range(17, 22)), False),
    (tuple(range(22, 27)), False),
    (tuple(range(27, 31)), False),
    (tuple(range(31, 36)), False),
    (tuple(range(36, 42)), True),
    (tuple(range(42, 48)), True),
    (tuple(range(48, 60)), True),
    (tuple(range(60, 68)), True),
)
"""(point indices, closed?) of the nine lines that draw a face."""


def expressions(vocabulary: VocabularyName) -> tuple[str, ...]:
    """The class names of a vocabulary, in label order."""
    return {"basic": BASIC_EXPRESSIONS, "compound": COMPOUND_EXPRESSIONS}[vocabulary]


def prior_levels(vocabulary: VocabularyName) -> tuple[tuple[PriorLevel, ...], ...]:
    """The knowledge as a table: one row per expression, one `PriorLevel` per AU of `ACTION_UNITS`."""
    prior = {"basic": BASIC_PRIOR, "compound": COMPOUND_PRIOR}[vocabulary]

    def level(name: str, unit: int) -> PriorLevel:
        primary, secondary = prior[name]
        return PRIMARY if unit in primary else SECONDARY if unit in secondary else OTHER

    return tuple(tuple(level(name, unit) for unit in ACTION_UNITS) for name in expressions(vocabulary))


def pair_indices(pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """FACS code pairs as positions in `ACTION_UNITS`."""
    return tuple((ACTION_UNITS.index(a), ACTION_UNITS.index(b)) for a, b in pairs)
