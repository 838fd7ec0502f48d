"""Valence and arousal of expressions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.circumplex import VALENCE_AROUSAL, valence_arousal


def test_every_label_has_a_place():
    assert set(VALENCE_AROUSAL) == {*facs.BASIC_EXPRESSIONS, *facs.COMPOUND_EXPRESSIONS}


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
