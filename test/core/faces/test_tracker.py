"""The tracker: ids that last, are never shared and never given twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracked_faces import boxed, face

from aue_crl_core.errors import ConfigError
from aue_crl_core.faces.tracker import FaceTracker

coordinate = st.floats(-200, 1000)
faces_anywhere = st.lists(st.builds(face, coordinate, coordinate, st.floats(5, 300)), max_size=6)
frames = st.lists(st.tuples(faces_anywhere, st.floats(-3, 3)), min_size=1, max_size=12)


def test_a_face_keeps_its_id_while_it_moves_slowly():
    tracker = FaceTracker()
    ids = [tracker.update([face(10.0 * k)], k / 30) for k in range(30)]
    assert ids == [["f1"]] * 30


def test_a_face_lost_for_less_than_the_limit_gets_its_id_back_and_later_does_not():
    tracker = FaceTracker(lost_after_s=1.0)
    tracker.update([face(0)], 5.0)
    tracker.update([], 5.5)
    assert tracker.update([face(5)], 5.9) == ["f1"]
    tracker.update([], 6.8)
    assert tracker.live_ids == ("f1",)
    assert tracker.ended_ids == ()
    tracker.update([], 7.0)
    assert tracker.live_ids == ()
    assert tracker.ended_ids == ("f1",)
    assert tracker.update([face(5)], 7.1) == ["f2"]
    assert tracker.ended_ids == ()


def test_an_image_of_another_size_is_of_the_same_faces():
    tracker = FaceTracker()
    assert tracker.resize(640, 480) is False
    for k in range(10):
        tracker.update([face(10.0 * k), face(300)], k / 30)
    (_, before), _ = tracker.seeds()
    assert tracker.resize(640, 480) is False
    assert tracker.resize(320, 480) is True
    (_, after), _ = tracker.seeds()
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, (before + 0.5) * (0.5, 1) - 0.5, rtol=1e-6)
    assert tracker.update([boxed(50, 0, 50, 100), boxed(150, 0, 50, 100)], 10 / 30) == ["f1", "f2"]


def test_a_face_unseen_for_just_the_limit_is_followed_still():
    tracker = FaceTracker(detect_every=100, lost_after_s=1.0)
    for stamp in (3.0, 4.0, 5.0):
        tracker.update([face(0)], stamp)
    assert tracker.detection_due(6.0) == ""
    assert tracker.detection_due(6.125) == "at once"
    tracker.update([], 6.0)
    assert tracker.live_ids == ("f1",)
    tracker.update([], 6.125)
    assert tracker.live_ids == ()


def test_a_step_back_of_just_the_limit_is_a_frame_out_of_order():
    tracker = FaceTracker(lost_after_s=1.0)
    tracker.update([face(0)], 5.0)
    assert tracker.update([face(0)], 4.0) == ["f1"]
    assert tracker.update([face(0)], 2.875) == ["f2"]


def test_other_settings_are_used_from_the_next_frame_on_and_ids_stay():
    tracker = FaceTracker(detect_every=1, lost_after_s=1.0)
    tracker.update([face(0)], 5.0)
    tracker.reconfigure(detect_every=10, lost_after_s=3.0)
    assert not tracker.detection_due(5.1)
    assert tracker.update([face(0)], 7.5) == ["f1"]
    with pytest.raises(ConfigError, match="detect_every must be"):
        tracker.reconfigure(detect_every=0, lost_after_s=3.0)
    assert tracker.update([face(0)], 10.0) == ["f1"]


def test_the_first_frame_after_a_long_pause_ends_the_old_tracks():
    tracker = FaceTracker()
    tracker.update([face(0)], 0.0)
    assert tracker.detection_due(60.0) == "at once"
    assert tracker.update([face(0)], 60.0) == ["f2"]
    assert tracker.ended_ids == ("f1",)


def test_a_bag_that_starts_over_gets_new_ids_and_the_old_ones_end():
    tracker = FaceTracker()
    tracker.update([face(0), face(300)], 100.0)
    assert tracker.detection_due(2.0) == "at once"
    assert tracker.update([face(0)], 2.0) == ["f3"]
    assert tracker.ended_ids == ("f1", "f2")
    assert tracker.live_ids == ("f3",)
    assert tracker.update([face(0)], 2.1) == ["f3"]


def test_frames_out_of_order_by_a_little_do_not_end_tracks():
    tracker = FaceTracker()
    stamps = [0.0, 0.066, 0.033, 0.1, 0.1]
    assert [tracker.update([face(0)], stamp) for stamp in stamps] == [["f1"]] * 5


def test_tracks_still_end_in_a_loop_shorter_than_the_limit():
    tracker = FaceTracker(lost_after_s=1.0)
    tracker.update([face(0)], 0.0)
    for _ in range(4):
        for stamp in (0.0, 0.4, 0.8):
            tracker.update([], stamp)
    assert tracker.live_ids == ()


def test_detection_is_due_on_every_nth_frame_and_asking_changes_nothing():
    tracker = FaceTracker(detect_every=3)
    due = []
    for k in range(7):
        due.append(tracker.detection_due(k / 30))
        assert tracker.detection_due(k / 30) == due[-1]
        tracker.update([face(0)], k / 30)
    assert due == ["at once", "", "", "routine", "", "", "routine"]


def test_by_default_every_fifth_frame_is_searched_and_after_a_reset_frames_are_counted_anew():
    tracker = FaceTracker()
    for first in range(2):
        due = []
        for k in range(8):
            due.append(tracker.detection_due(k / 30))
            tracker.update([face(0)], k / 30)
        assert due == ["at once", "", "", "", "", "routine", "", ""], first
        tracker.reset()


@pytest.mark.parametrize("step_s", [0.033, 0.0], ids=["stamped frames", "frames of one stamp"])
def test_detection_is_due_while_a_track_is_unseen_and_cannot_wait_when_none_is_seen(step_s):
    tracker = FaceTracker(detect_every=100, lost_after_s=10.0)
    tracker.update([], 0.0)
    assert tracker.detection_due(step_s) == "at once"
    tracker.update([face(0), face(300)], step_s)
    assert tracker.detection_due(2 * step_s) == ""
    tracker.update([face(0)], 2 * step_s)
    assert tracker.detection_due(3 * step_s) == "routine"
    tracker.update([], 3 * step_s)
    assert tracker.detection_due(4 * step_s) == "at once"
    tracker.update([face(0), face(300)], 4 * step_s)
    assert tracker.detection_due(5 * step_s) == ""


def test_seeds_are_the_last_points_of_every_live_track_seen_or_not():
    tracker = FaceTracker()
    first, second, moved = face(0), face(300), face(10)
    tracker.update([first, second], 0.0)
    tracker.update([moved], 0.1)
    seeds = tracker.seeds()
    assert [name for name, _ in seeds] == ["f1", "f2"]
    np.testing.assert_array_equal(seeds[0][1], moved.points)
    np.testing.assert_array_equal(seeds[1][1], second.points)


def test_after_a_cut_nobody_is_followed_and_every_track_ends():
    tracker = FaceTracker()
    tracker.update([face(0), face(300)], 0.0)
    tracker.cut()
    assert tracker.seeds() == []
    assert tracker.detection_due(0.033) == "at once"
    assert tracker.update([face(0)], 0.033) == ["f3"]
    assert tracker.ended_ids == ("f1", "f2")
    assert tracker.update([face(5)], 0.066) == ["f3"]
    assert [name for name, _ in tracker.seeds()] == ["f3"]


def test_a_face_whose_points_jumped_is_followed_on_only_where_a_detector_confirms_it():
    tracker = FaceTracker(detect_every=100)
    tracker.update([face(0)], 0.0)
    tracker.update([face(20, confirmed=False)], 0.033)
    assert (len(tracker.seeds()), tracker.detection_due(0.066)) == (1, "")
    tracker.update([face(80, confirmed=False)], 0.066)
    assert (tracker.seeds(), tracker.detection_due(0.1)) == ([], "at once")
    assert tracker.update([face(85)], 0.1) == ["f1"]
    assert (len(tracker.seeds()), tracker.detection_due(0.133)) == (1, "")


def test_a_face_that_overlaps_its_last_box_by_half_has_not_jumped():
    tracker = FaceTracker()
    tracker.update([boxed(0, 0, 100, 100)], 0.0)
    tracker.update([boxed(0, 0, 100, 50, confirmed=False)], 0.033)
    assert len(tracker.seeds()) == 1


def test_a_face_whose_points_jumped_and_that_no_detector_confirms_is_lost():
    tracker = FaceTracker(detect_every=100)
    tracker.update([face(0), face(300)], 0.0)
    tracker.update([face(80, confirmed=False), face(300, confirmed=False)], 0.033)
    for frame in range(2, 40):
        tracker.update([face(300, confirmed=False)], frame / 30)
        assert [name for name, _ in tracker.seeds()] == ["f2"]
    assert tracker.live_ids == ("f2",)


def test_reset_ends_all_and_numbers_go_on():
    tracker = FaceTracker(id_prefix="cam2f")
    assert tracker.update([face(0)], 9.0) == ["cam2f1"]
    tracker.reset()
    assert tracker.ended_ids == ("cam2f1",)
    assert tracker.seeds() == []
    assert tracker.update([face(0)], 0.0) == ["cam2f2"]


@given(frames)
def test_no_two_faces_of_a_frame_share_an_id_and_every_face_has_a_live_one(sequence):
    tracker, now = FaceTracker(), 0.0
    for faces, step in sequence:
        now += step
        ids = tracker.update(faces, now)
        assert len(ids) == len(set(ids)) == len(faces)
        assert set(ids) <= set(tracker.live_ids)


@given(frames)
def test_an_id_that_has_ended_is_never_given_again(sequence):
    tracker, now, ended, seen = FaceTracker(), 0.0, set(), set()
    for faces, step in sequence:
        now += step
        ids = set(tracker.update(faces, now))
        ended |= set(tracker.ended_ids)
        seen |= ids
        assert not ids & ended
        assert seen == ended | set(tracker.live_ids)


@given(
    gaps=st.lists(st.floats(0.0, 0.99), min_size=1, max_size=8),
    missed=st.integers(0, 5),
    jitter=st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=8, max_size=8),
)
def test_separated_faces_keep_their_ids_over_any_gap_below_the_limit(gaps, missed, jitter):
    tracker, now = FaceTracker(lost_after_s=1.0), 1_700_000_000.0
    first = tracker.update([face(0), face(300), face(600, 300)], now)
    for gap, (dx, dy) in zip(gaps, jitter, strict=False):
        for k in range(missed):
            tracker.update([], now + gap * k / (missed + 1))
        now += gap
        assert tracker.update([face(dx, dy), face(300 + dx, dy), face(600 + dx, 300 + dy)], now) == first


@given(sequence=frames, data=st.data())
def test_the_order_of_the_faces_does_not_change_who_is_who(sequence, data):
    plain, shuffled, now = FaceTracker(), FaceTracker(), 0.0
    for faces, step in sequence:
        faces = list({tuple(f.box.as_list()): f for f in faces}.values())
        order = data.draw(st.permutations(range(len(faces))))
        now += step
        ids = plain.update(faces, now)
        assert shuffled.update([faces[i] for i in order], now) == [ids[i] for i in order]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("detect_every", 0),
        ("lost_after_s", 0.0),
        ("lost_after_s", -1.0),
        ("lost_after_s", float("inf")),
        ("min_iou", 0.0),
        ("min_iou", -0.1),
        ("min_iou", 1.1),
        ("id_prefix", "1f"),
        ("id_prefix", ""),
        ("id_prefix", "a/b"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting, value):
    with pytest.raises(ConfigError, match=setting):
        FaceTracker(**{setting: value})


def test_with_a_least_overlap_of_one_a_face_that_stays_keeps_its_id():
    tracker = FaceTracker(min_iou=1)
    assert [tracker.update([face(0)], 0.0), tracker.update([face(0)], 0.033)] == [["f1"], ["f1"]]


def test_a_stamp_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="time_s must be finite"):
        FaceTracker().update([], float("nan"))
    tracker = FaceTracker()
    tracker.update([], 0.0)
    with pytest.raises(ConfigError, match="time_s must be finite"):
        tracker.update([], float("nan"))
