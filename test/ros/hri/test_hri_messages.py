"""Labels and crops as ROS4HRI has them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.types import FaceBox
from aue_crl_ros.hri.messages import HRI_EXPRESSIONS, cropped_face

HRI_NAMES = {  # the string constants of hri_msgs/Expression
    *("neutral", "angry", "sad", "happy", "surprised", "disgusted", "scared", "pleading", "vulnerable", "despaired"),
    *("guilty", "disappointed", "embarrassed", "horrified", "skeptical", "annoyed", "furious", "suspicious"),
    *("rejected", "bored", "tired", "asleep", "confused", "amazed", "excited"),
}


def test_every_label_has_a_name_that_hri_msgs_knows():
    assert set(HRI_EXPRESSIONS) == {*facs.BASIC_EXPRESSIONS, *facs.COMPOUND_EXPRESSIONS}
    assert set(HRI_EXPRESSIONS.values()) <= HRI_NAMES
    expected = {"surprise": "surprised", "fear": "scared", "anger": "angry", "happily surprised": "amazed"}
    expected |= {"sadly angry": "angry", "fearfully surprised": "surprised", "sadly fearful": "despaired"}
    assert {label: HRI_EXPRESSIONS[label] for label in expected} == expected


@given(st.integers(1, 40), st.integers(1, 40), st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 80))
def test_every_box_gives_a_crop(width, height, x, y, side):
    image = np.full((height, width, 3), 200, np.uint8)
    crop = cropped_face(image, FaceBox(x, y, side, side))
    assert crop.shape == (128, 128, 3)
    assert (crop == 200).any()
