"""Which face continues which track: where a track is expected, and who comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tracked_faces import boxed, face

from aue_crl_core.faces.tracker import FaceTracker
from aue_crl_core.types import FaceBox


def test_a_face_that_appears_far_away_is_a_new_one():
    tracker = FaceTracker()
    tracker.update([face(0)], 0.0)
    assert tracker.update([face(160)], 0.033) == ["f2"]
    assert tracker.live_ids == ("f1", "f2")


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (0.8, -0.6)])
@pytest.mark.parametrize(("far", "name"), [(90, "f1"), (100, "f1"), (101, "f2")])
def test_a_face_that_jumps_by_up_to_a_box_side_keeps_its_id(x, y, far, name):
    tracker = FaceTracker()
    tracker.update([face(0)], 0.0)
    assert tracker.update([face(far * x, far * y)], 0.033) == [name]


@pytest.mark.parametrize(("side", "name"), [(200, "f1"), (201, "f2"), (50, "f1"), (49, "f2")])
def test_a_box_of_more_than_twice_or_less_than_half_the_size_is_a_new_face(side, name):
    tracker = FaceTracker()
    tracker.update([face(0, 0, 100)], 0.0)
    assert tracker.update([face(50 - side / 2, 50 - side / 2, side)], 0.033) == [name]


def test_a_box_of_no_size_continues_no_track():
    tracker = FaceTracker()
    assert [tracker.update([face(0, 0, 0)], 0.0), tracker.update([face(0, 0, 0)], 0.033)] == [["f1"], ["f2"]]


def test_two_faces_that_cross_and_hide_each_other_keep_their_ids():
    tracker = FaceTracker()
    for k in range(31):  # 300 px/s each; at k = 15 they are at the same place
        right, left = face(10.0 * k), face(300 - 10.0 * k)
        hidden = 10 <= k <= 20
        ids = tracker.update([right] if hidden else [right, left], k / 30)
        assert ids == (["f1"] if hidden else ["f1", "f2"])


def test_a_face_that_stops_or_turns_back_while_it_is_away_keeps_its_id():
    tracker = FaceTracker()
    for k in range(10):
        tracker.update([face(20.0 * k)], k / 30)
    assert tracker.update([face(190)], 9 / 30 + 0.8) == ["f1"]  # it would have gone on to 660


def test_one_frame_in_error_hardly_changes_where_a_face_is_expected():
    tracker = FaceTracker()
    for k in range(10):
        tracker.update([face(0)], k / 30)
    tracker.update([face(80)], 10 / 30)
    tracker.update([], 11 / 30)
    assert tracker.update([face(0), face(200)], 12 / 30) == ["f1", "f2"]


def test_a_face_seen_once_is_expected_where_it_was():
    tracker = FaceTracker(lost_after_s=1000.0)
    tracker.update([face(0)], 0.0)
    others = [face(300), face(-300), face(0, 300), face(0, -300)]
    assert tracker.update([face(0), *others], 300.0)[0] == "f1"


def test_a_face_is_expected_where_its_centre_goes_on_to_however_its_box_grows():
    tracker, last = FaceTracker(lost_after_s=10.0), FaceBox(0, 0, 0, 0)
    for k in range(41):  # 120 px/s to the right, 90 px/s up
        w, h = 100 + 20.0 * k, 100 + 10.0 * k
        last = FaceBox(12.0 * k - w / 2, -9.0 * k - h / 2, w, h)
        tracker.update([boxed(*last.as_list())], k / 10)
    there = replace(last, x=last.x + 120 * 6, y=last.y - 90 * 6)
    beside = [replace(there, x=there.x + x, y=there.y + y) for x, y in ((60, 0), (-60, 0), (0, 60), (0, -60))]
    ids = tracker.update([boxed(*box.as_list()) for box in (there, last, *beside)], 4.0 + 6.0)
    assert ids[0] == "f1"


def test_a_new_speed_counts_63_percent_after_a_quarter_of_a_second():
    tracker = FaceTracker(lost_after_s=10.0)
    for k in range(6):
        tracker.update([face(20.0 * k)], k / 20)  # 400 px/s
    expected = 100 + 0.632 * 400 * 2
    ids = tracker.update([face(expected), face(expected - 40), face(expected + 40), face(100), face(900)], 2.25)
    assert ids[0] == "f1"


def test_who_was_seen_in_the_last_frame_comes_before_who_was_not():
    tracker, both = FaceTracker(), [face(0), face(60)]
    tracker.update(both, 0.0)
    tracker.update(both, 0.1)
    tracker.update([face(0)], 0.2)
    assert tracker.update([face(50)], 0.3) == ["f1"]  # f2 was nearer, but is hidden


def test_an_overlap_of_just_the_least_decides_before_distance():
    tracker = FaceTracker(min_iou=0.5)
    tracker.update([boxed(0, 0, 100, 100)], 0.0)
    half, in_the_middle = boxed(0, 0, 100, 50), boxed(25, 25, 50, 50)
    assert tracker.update([in_the_middle, half], 0.033) == ["f2", "f1"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_that_overlap_equally_the_left_one_goes_on_whichever_comes_first(order):
    tracker = FaceTracker()
    tracker.update([face(0)], 0.0)
    assert tracker.update([face(-20), face(20)][::order], 0.033) == ["f1", "f2"][::order]


def test_overlap_decides_before_distance():
    tracker = FaceTracker()
    tracker.update([face(0), face(120)], 0.0)
    assert tracker.update([face(100), face(70)], 0.033) == ["f2", "f1"]


def test_a_face_that_grows_where_it_is_is_expected_where_it_is():
    tracker = FaceTracker(lost_after_s=10.0)
    for k in range(5):
        tracker.update([face(-5.0 * k, -5.0 * k, 100 + 10.0 * k)], k / 30)
    assert tracker.update([face(-20, -20, 140), face(90, 90, 140)], 2.0)[0] == "f1"
