"""Between arrival and processing only the newest counts."""

from __future__ import annotations

import threading

import numpy as np

from aue_crl_ros.session.readings import PendingFrame
from aue_crl_ros.session.slots import MAX_SLOTS, LatestFrames


def _frame(camera: str, stamp_ns: int, face_id: str = "") -> PendingFrame:
    return PendingFrame(camera, None, stamp_ns, lambda: np.zeros((2, 2, 3), np.uint8), face_id)


def test_a_newer_image_takes_the_place_of_an_unread_one():
    slots = LatestFrames()
    first, second, third = (_frame("/left", i) for i in range(3))
    assert slots.offer(first) is None
    assert slots.offer(second) is first
    assert slots.offer(third) is second
    assert slots.take() == [third]
    assert slots.take() == []


def test_cameras_and_face_crops_have_slots_of_their_own_in_the_order_of_arrival():
    slots = LatestFrames()
    frames = [_frame("/left", 1), _frame("/right", 2), _frame("/crops", 3, "a"), _frame("/crops", 4, "b")]
    assert [slots.offer(frame) for frame in frames] == [None] * 4
    newer = _frame("/left", 5)
    assert slots.offer(newer) is frames[0]
    assert slots.take() == [*frames[1:], newer]


def test_what_was_read_is_not_dropped():
    slots = LatestFrames()
    slots.offer(_frame("/left", 1))
    slots.take()
    assert slots.offer(_frame("/left", 2)) is None


def test_crops_of_ever_new_faces_do_not_pile_up():
    slots = LatestFrames()
    frames = [_frame("/crops", i, f"face{i}") for i in range(MAX_SLOTS + 3)]
    dropped = [slots.offer(frame) for frame in frames]
    assert dropped == [None] * MAX_SLOTS + frames[:3]
    assert slots.take() == frames[3:]


def test_waiting_ends_with_an_image_from_another_thread():
    slots = LatestFrames()
    assert not slots.wait(0)
    frame = _frame("/left", 1)
    thread = threading.Timer(0.05, slots.offer, [frame])
    thread.start()
    assert slots.wait(60)
    assert slots.take() == [frame]
    thread.join()


def test_closing_wakes_whoever_waits_and_ends_it_all():
    slots = LatestFrames()
    woken = []
    thread = threading.Thread(target=lambda: woken.append(slots.wait(60)))
    thread.start()
    slots.close()
    thread.join(10)
    assert woken == [False]
    late = _frame("/left", 1)
    assert slots.offer(late) is late
    assert slots.take() == []


def test_many_threads_lose_no_frame_unaccounted():
    slots = LatestFrames()
    dropped, taken, done = [], [], threading.Event()

    def produce(camera: str) -> None:
        for i in range(300):
            if slots.offer(_frame(camera, i)) is not None:
                dropped.append(camera)

    def consume() -> None:
        while not done.is_set() or slots.wait(0):
            slots.wait(0.01)
            frames = slots.take()
            assert len(frames) <= 4
            taken.extend(frames)

    consumer = threading.Thread(target=consume)
    consumer.start()
    producers = [threading.Thread(target=produce, args=[f"/camera{i}"]) for i in range(4)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    done.set()
    consumer.join()
    assert len(dropped) + len(taken) == 4 * 300
    for camera in {frame.camera for frame in taken}:
        stamps = [frame.stamp_ns for frame in taken if frame.camera == camera]
        assert stamps == sorted(stamps)
        assert stamps[-1] == 299
