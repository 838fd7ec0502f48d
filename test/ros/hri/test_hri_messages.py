"""Labels, valence, arousal and crops as ROS4HRI has them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.types import FaceBox
from aue_crl_ros.hri.messages import HRI_EXPRESSIONS, VALENCE_AROUSAL, cropped_face, valence_arousal

HRI_NAMES = {  # the string constants of hri_msgs/Expression
    *("neutral", "angry", "sad", "happy", "surprised", "disgusted", "scared", "pleading", "vulnerable", "despaired"),
    *("guilty", "disappointed", "embarrassed", "horrified", "skeptical", "annoyed", "furious", "suspicious"),
    *("rejected", "bored", "tired", "asleep", "confused", "amazed", "excited"),
}


def test_every_label_has_a_name_that_hri_msgs_knows():
    assert set(HRI_EXPRESSIONS) == set(VALENCE_AROUSAL) == {*facs.BASIC_EXPRESSIONS, *facs.COMPOUND_EXPRESSIONS}
    assert set(HRI_EXPRESSIONS.values()) <= HRI_NAMES
    expected = {"surprise": "surprised", "fear": "scared", "anger": "angry", "happily surprised": "amazed"}
    expected |= {"sadly angry": "angry", "fearfully surprised": "surprised", "sadly fearful": "despaired"}
    assert {label: HRI_EXPRESSIONS[label] for label in expected} == expected


def test_pleasant_and_unpleasant_calm_and_excited_lie_on_their_sides():
    assert VALENCE_AROUSAL["neutral"] == (0, 0)
    assert all(VALENCE_AROUSAL[label][0] > 0 for label in ("happiness", "happily surprised"))
    assert all(VALENCE_AROUSAL[label][0] < 0 for label in ("sadness", "anger", "fear", "disgust", "sadly angry"))
    assert all(VALENCE_AROUSAL[label][1] > 0 for label in ("surprise", "fear", "anger", "fearfully surprised"))
    assert VALENCE_AROUSAL["sadness"][1] < 0


@given(st.sampled_from((facs.BASIC_EXPRESSIONS, facs.COMPOUND_EXPRESSIONS)), st.data())
def test_the_circumplex_place_is_a_mean_whatever_the_probabilities_sum_to(labels, data):
    weights = data.draw(st.lists(st.floats(0.01, 1), min_size=len(labels), max_size=len(labels)))
    valence, arousal = valence_arousal(dict(zip(labels, weights, strict=True)))
    for value, axis in ((valence, 0), (arousal, 1)):
        places = [VALENCE_AROUSAL[label][axis] for label in labels]
        assert -1 <= min(places) - 1e-9 <= value <= max(places) + 1e-9 <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 80))
def test_every_box_gives_a_crop(width, height, x, y, side):
    image = np.full((height, width, 3), 200, np.uint8)
    crop = cropped_face(image, FaceBox(x, y, side, side))
    assert crop.shape == (128, 128, 3)
    assert (crop == 200).any()
