"""The overlay: marks are where the face is, panels hide no face, and every size and state gives a picture."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError
from aue_crl_core.media.drawing.overlay import BASIC_COLOURS, UNSURE, draw_overlay, expression_colour, overlay_scale_for


def near(image, colour, tolerance=12):
    """HxW bool: where the image has this colour."""
    return (np.abs(image.astype(int) - np.array(colour)) <= tolerance).all(axis=2)


def part(image, box):
    return image[max(0, int(box.y)) : int(box.y + box.h), max(0, int(box.x)) : int(box.x + box.w)]


@pytest.fixture(scope="module")
def wide(photograph):
    """1280x720: the portrait twice, with room between."""
    canvas = np.full((720, 1280, 3), 120, np.uint8)
    canvas[100:700, 0:512] = photograph
    canvas[100:700, 768:1280] = photograph
    return canvas


def test_the_input_is_left_alone(photograph, predict):
    before = photograph.copy()
    drawn = draw_overlay(photograph, [predict()])
    np.testing.assert_array_equal(photograph, before)
    assert drawn.dtype == np.uint8
    assert (drawn != before).any()


def test_a_face_without_action_units_has_a_lower_panel_of_the_same_width(photograph, predict):
    """No bars at zero, which would say that nothing moves."""
    faces = predict(), dataclasses.replace(predict(), action_units={})
    known, none = (draw_overlay(photograph, [face], panels="beside") for face in faces)
    assert known.shape == none.shape
    column = slice(photograph.shape[1], None)
    ends = [np.flatnonzero((drawn[:, column] != drawn[-1, -1]).any(axis=(1, 2)))[-1] for drawn in (known, none)]
    assert ends[1] < 0.75 * ends[0]


def test_no_face_no_mark(photograph):
    np.testing.assert_array_equal(draw_overlay(photograph, []), photograph)


@pytest.mark.parametrize("expression", facs.BASIC_EXPRESSIONS)
def test_the_box_has_its_corners_in_the_expressions_colour(photograph, predict, expression):
    face = predict(expression=expression)
    drawn = draw_overlay(photograph, [face], panels="none", points=False)
    for x in (face.box.x, face.box.x + face.box.w):
        for y in (face.box.y, face.box.y + face.box.h):
            corner = drawn[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
            assert near(corner, BASIC_COLOURS[expression]).any()


def test_every_expression_has_its_own_colour(predict):
    for vocabulary in ("basic", "compound"):
        faces = [predict(expression=name, vocabulary=vocabulary) for name in facs.expressions(vocabulary)]
        assert len({expression_colour(face) for face in faces}) == len(faces)


@pytest.mark.parametrize("state", ["uncertain", "low_quality"])
def test_a_doubtful_face_is_grey_and_dashed(photograph, predict, state):
    sure, doubtful = predict(), predict(state=state)
    colour = BASIC_COLOURS["happiness"]
    blank = np.zeros_like(photograph)
    assert near(draw_overlay(blank, [sure]), colour).any()
    drawn = draw_overlay(blank, [doubtful], panels="none", points=False)
    assert not near(drawn, colour).any()
    row = drawn[round(doubtful.box.y + doubtful.box.h), round(doubtful.box.x) : round(doubtful.box.x + doubtful.box.w)]
    marked = near(row[None], UNSURE)[0]
    assert np.count_nonzero(np.diff(marked.astype(int)) == 1) >= 5, "the lower edge has several dashes"


@pytest.mark.parametrize("value", [0, 255])
def test_points_are_seen_on_black_and_on_white(predict, value):
    plain = np.full((600, 512, 3), value, np.uint8)
    face = predict()
    drawn = draw_overlay(plain, [face], panels="none")
    without = draw_overlay(plain, [face], panels="none", points=False)
    changed = np.abs(drawn.astype(int) - without).max(axis=2) > 60
    nearby = cv2.dilate(changed.astype(np.uint8), np.ones((5, 5), np.uint8))
    for x, y in np.round(face.landmarks).astype(int):
        assert nearby[y, x], f"point ({x}, {y}) is drawn"


def test_a_free_picture_keeps_its_size_and_no_panel_hides_a_face(wide, predict):
    faces = [predict("f1", shift=(0, 100)), predict("f2", "sadness", shift=(768, 100))]
    drawn, bare = draw_overlay(wide, faces), draw_overlay(wide, faces, panels="none")
    assert drawn.shape == wide.shape
    assert (drawn != bare).any(axis=2).sum() > 20_000, "two panels are drawn"
    for face in faces:
        np.testing.assert_array_equal(part(drawn, face.box), part(bare, face.box))


def test_where_faces_fill_the_picture_the_panels_go_beside_it(photograph, predict):
    face = predict(scale=2.2, shift=(-320, -230))
    drawn, bare = draw_overlay(photograph, [face]), draw_overlay(photograph, [face], panels="none")
    assert drawn.shape[0] == 600
    assert drawn.shape[1] > 512 + 200
    np.testing.assert_array_equal(drawn[:, :512], bare)
    assert near(drawn[:, 512:], BASIC_COLOURS["happiness"]).sum() > 200, "the panel has its bars"


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(48, 48, 10.0), (240, 320, 2.0), (480, 640, 1.0), (20, 960, 2)]
)
def test_small_images_are_enlarged_large_ones_are_not(height, width, expected):
    image = np.zeros((height, width, 3), np.uint8)
    assert overlay_scale_for(image) == expected
    assert draw_overlay(image, []).shape[:2] == (height * expected, width * expected)


def test_marks_follow_the_scale(photograph, predict):
    face = predict("f1")
    drawn = draw_overlay(photograph, [face], overlay_scale=2, panels="none", points=False)
    assert drawn.shape == (1200, 1024, 3)
    x, y = round(face.box.x * 2 + 0.5), round((face.box.y + face.box.h) * 2 + 0.5)
    assert near(drawn[y - 3 : y + 4, x - 3 : x + 4], BASIC_COLOURS["happiness"]).any()


def test_a_column_is_as_wide_without_faces(photograph, predict):
    empty = draw_overlay(photograph, [], panels="beside")
    for face in (predict(), predict(expression="sadly angry", vocabulary="compound")):
        for count in (1, 2, 5):
            assert draw_overlay(photograph, [face] * count, panels="beside").shape == empty.shape


def test_a_longer_bar_is_a_larger_probability(photograph, predict):
    faces = [predict(confidence=confidence) for confidence in (0.3, 0.6, 0.9)]
    columns = [draw_overlay(photograph, [face], panels="beside")[:, 512:] for face in faces]
    areas = [near(column, BASIC_COLOURS["happiness"]).sum() for column in columns]
    assert areas == sorted(areas)
    assert areas[2] > areas[0] * 1.2


def test_a_crowd(wide, predict):
    faces = [predict(f"f{i}", scale=0.2, shift=(100 * (i % 10), 100 * (i // 10))) for i in range(60)]
    for panels in ("auto", "inside", "beside", "none"):
        assert draw_overlay(wide, faces, panels=panels).shape[0] == 720


def test_one_pixel(predict):
    dot = np.array([[[9, 8, 7]]], np.uint8)
    assert draw_overlay(dot, []).shape == (480, 480, 3)
    assert draw_overlay(dot, [predict()]).shape[0] == 480


@given(
    x=st.floats(-2000, 2000),
    y=st.floats(-2000, 2000),
    scale=st.floats(0.001, 8),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    overlay_scale=st.sampled_from([None, 0.3, 1.0, 3.7]),
    panels=st.sampled_from(["auto", "inside", "beside", "none"]),
    state=st.sampled_from(["ok", "uncertain", "low_quality"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_place_and_size_of_a_face_gives_a_picture(predict, x, y, scale, size, overlay_scale, panels, state):
    image = np.zeros((*size, 3), np.uint8)
    face = predict("f1", scale=scale, shift=(x, y), state=state)
    drawn = draw_overlay(image, [face], panels=panels, overlay_scale=overlay_scale)
    if panels in ("inside", "none"):
        assert drawn.shape == draw_overlay(image, [], panels="none", overlay_scale=overlay_scale).shape
    if panels == "beside":
        assert drawn.shape == draw_overlay(image, [], panels="beside", overlay_scale=overlay_scale).shape


@pytest.mark.parametrize("state", ["ok", "low_quality"])
@pytest.mark.parametrize("shift", [(1e9, 1e9), (-1e9, 0), (0, -1e9), (0, 1e9)])
def test_a_face_far_outside_is_drawn_at_once(photograph, predict, state, shift):
    """Where the drawing goes all the way to the face, this takes minutes."""
    far = predict(state=state, shift=shift)
    half = np.where(np.arange(68)[:, None] % 2, predict().landmarks, far.landmarks)
    for face in (far, dataclasses.replace(far, landmarks=half)):
        assert draw_overlay(photograph, [face], panels="none").shape == photograph.shape


def test_settings_out_of_range(photograph):
    with pytest.raises(ConfigError, match="panels must be auto, inside, beside or none, got 'left'"):
        draw_overlay(photograph, [], panels="left")
    with pytest.raises(ConfigError, match="overlay_scale must be above 0, got 0"):
        draw_overlay(photograph, [], overlay_scale=0)
