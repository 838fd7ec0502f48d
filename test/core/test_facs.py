"""The vocabulary agrees with the method's tables and with itself."""

from __future__ import annotations

from typing import get_args

import pytest

from aue_crl_core import facs
from aue_crl_core.facs import ACTION_UNITS, OTHER, PRIMARY, SECONDARY

PRIORS = {"basic": facs.BASIC_PRIOR, "compound": facs.COMPOUND_PRIOR}


def test_labels_are_those_of_raf_db():
    assert facs.BASIC_EXPRESSIONS == ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    assert len(facs.COMPOUND_EXPRESSIONS) == 11
    assert facs.COMPOUND_EXPRESSIONS[0] == "happily surprised"
    assert facs.COMPOUND_EXPRESSIONS[10] == "disgustedly surprised"


def test_seventeen_action_units_in_order_each_with_a_name_and_two_region_centres():
    assert ACTION_UNITS == (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 20, 23, 24, 25, 26)
    assert tuple(facs.ACTION_UNIT_NAMES) == ACTION_UNITS
    assert tuple(facs.REGION_CENTRES) == ACTION_UNITS
    assert len(set(facs.ACTION_UNIT_NAMES.values())) == 17


def test_region_centres_are_one_or_two_face_points():
    for centres in facs.REGION_CENTRES.values():
        assert len(centres) == 2
        for points in centres:
            assert len(points) in (1, 2)
            assert all(0 <= point < facs.NUM_POINTS for point in points)


def test_region_centres_of_the_reference():
    assert facs.REGION_CENTRES[4] == ((21, 22), (19, 24))
    assert facs.REGION_CENTRES[5] == ((37, 38), (43, 44))
    assert facs.REGION_CENTRES[16] == ((58,), (56,))
    assert facs.REGION_CENTRES[25] == ((62,), (66,))


def test_mirroring_the_points_twice_changes_nothing():
    mirrored = facs.MIRRORED_POINTS
    assert sorted(mirrored) == list(range(68))
    assert [mirrored[mirrored[i]] for i in range(68)] == list(range(68))


def test_mirroring_exchanges_the_sides_and_keeps_the_middle():
    mirrored = facs.MIRRORED_POINTS
    assert mirrored[36] == 45
    assert mirrored[48] == 54
    assert mirrored[0] == 16
    assert [i for i in range(68) if mirrored[i] == i] == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    assert {mirrored[i] for i in facs.RIGHT_EYE} == set(facs.LEFT_EYE)


@pytest.mark.parametrize("vocabulary", ["basic", "compound"])
def test_prior_has_a_row_for_every_class_and_no_unit_on_two_levels(vocabulary):
    prior = PRIORS[vocabulary]
    assert tuple(prior) == facs.expressions(vocabulary)
    for primary, secondary in prior.values():
        units = primary + secondary
        assert len(set(units)) == len(units)
        assert set(units) <= set(ACTION_UNITS)


@pytest.mark.parametrize(("vocabulary", "primary", "secondary"), [("basic", 22, 12), ("compound", 37, 36)])
def test_prior_levels_count_what_the_tables_count(vocabulary, primary, secondary):
    levels = [level for row in facs.prior_levels(vocabulary) for level in row]
    assert len(levels) == 17 * len(facs.expressions(vocabulary))
    assert levels.count(PRIMARY) == primary
    assert levels.count(SECONDARY) == secondary


def test_prior_levels_of_happiness():
    row = dict(zip(ACTION_UNITS, facs.prior_levels("basic")[3], strict=True))
    assert {unit for unit, level in row.items() if level == PRIMARY} == {6, 12}
    assert {unit for unit, level in row.items() if level == SECONDARY} == {7, 25}


def test_neutral_has_no_unit():
    assert set(facs.prior_levels("basic")[6]) == {OTHER}


def test_levels_are_those_of_the_reference():
    assert (PRIMARY.start, PRIMARY.low, PRIMARY.high, PRIMARY.centre) == (1.0, 0.75, 1.0, 0.875)
    assert (SECONDARY.start, SECONDARY.low, SECONDARY.high, SECONDARY.centre) == (0.5, 0.5, 0.75, 0.625)
    assert (OTHER.start, OTHER.low, OTHER.high, OTHER.centre) == (0.1, 0.0, 0.25, 0.125)


def test_pairs_are_ordered_and_none_both_helps_and_excludes():
    together, exclusive = facs.CO_OCCURRING_PAIRS, facs.EXCLUSIVE_PAIRS
    assert len(together) == 10
    assert exclusive == ((2, 6), (2, 7), (12, 15), (12, 17))
    assert not set(together) & set(exclusive)
    assert all(a < b for a, b in together + exclusive)


def test_pairs_as_positions_name_the_same_units():
    positions = facs.pair_indices(facs.CO_OCCURRING_PAIRS)
    assert tuple((ACTION_UNITS[a], ACTION_UNITS[b]) for a, b in positions) == facs.CO_OCCURRING_PAIRS


def test_ros4hri_spelling():
    assert facs.ROS4HRI_EXPRESSIONS == {
        "surprise": "surprised",
        "fear": "scared",
        "disgust": "disgusted",
        "happiness": "happy",
        "sadness": "sad",
        "anger": "angry",
        "neutral": "neutral",
    }


def test_the_contours_draw_every_point_once():
    drawn = [point for points, _ in facs.FACE_CONTOURS for point in points]
    assert sorted(drawn) == list(range(68))


def test_every_vocabulary_name_has_classes():
    assert [len(facs.expressions(name)) for name in get_args(facs.VocabularyName)] == [7, 11]
