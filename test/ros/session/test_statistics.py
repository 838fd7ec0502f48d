"""Counts, rates and latencies, on a clock that the test turns."""

from __future__ import annotations

import math
import threading

import pytest

from aue_crl_ros.session.statistics import LATENCIES, MAX_CAMERAS, CameraStatistics, Statistics


class _Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_cameras_are_counted_apart(clock):
    statistics = Statistics(clock)
    for _ in range(5):
        statistics.note_received("/left")
    statistics.note_dropped("/left")
    statistics.note_dropped("/left")
    statistics.note_failed("/left")
    statistics.note_processed("/left", 3)
    statistics.note_processed("/left", 2)
    statistics.note_received("/right")
    left, right = statistics.snapshot()["/left"], statistics.snapshot()["/right"]
    assert (left.received, left.processed, left.dropped, left.failed, left.faces) == (5, 2, 2, 1, 2)
    assert (right.received, right.processed, right.dropped) == (1, 0, 0)
    assert (statistics.dropped("/left"), statistics.dropped("/never seen")) == (2, 0)


@pytest.mark.parametrize("hz", [2, 30, 500])
def test_rates_are_those_of_the_last_seconds(clock, hz):
    statistics = Statistics(clock)
    for i in range(8 * hz):
        clock.now_s = 1000 + i / hz
        statistics.note_received("/left")
        if i % 2:
            statistics.note_processed("/left", 0)
    read = statistics.snapshot()["/left"]
    assert read.input_hz == pytest.approx(hz, rel=0.15)
    assert read.output_hz == pytest.approx(hz / 2, rel=0.15)
    clock.now_s += 60
    assert statistics.snapshot()["/left"].input_hz == 0


def test_a_camera_that_has_just_begun_is_no_fast_one(clock):
    statistics = Statistics(clock)
    statistics.note_received("/left")
    clock.now_s += 0.001
    assert statistics.snapshot()["/left"].input_hz <= 2


def test_after_two_seconds_the_rate_is_that_of_two_seconds(clock):
    statistics = Statistics(clock)
    for i in range(20):
        clock.now_s = 1000 + i / 10
        statistics.note_received("/left")
    assert statistics.snapshot()["/left"].input_hz == pytest.approx(10, rel=0.1)


def test_latencies_are_percentiles_of_the_last_ones(clock):
    statistics = Statistics(clock)
    statistics.note_published("/left", math.nan)
    assert statistics.snapshot() == {}
    statistics.note_received("/left")
    assert math.isnan(statistics.snapshot()["/left"].latency_p50_s)
    for _ in range(500):
        statistics.note_published("/left", 9.0)
    for i in range(LATENCIES):
        statistics.note_published("/left", i / (LATENCIES - 1))
    read = statistics.snapshot()["/left"]
    assert (read.latency_p50_s, read.latency_p95_s) == pytest.approx((0.5, 0.95))


def test_silence_is_measured_from_the_last_arrival(clock):
    statistics = Statistics(clock)
    statistics.note_received("/left")
    clock.now_s += 2.5
    assert statistics.snapshot()["/left"].silent_s == pytest.approx(2.5)


def test_reset_forgets_everything(clock):
    statistics = Statistics(clock)
    statistics.note_received("/left")
    statistics.reset()
    assert statistics.snapshot() == {}
    assert CameraStatistics().silent_s == math.inf


def test_ever_new_names_do_not_pile_up(clock):
    statistics = Statistics(clock)
    for i in range(MAX_CAMERAS + 10):
        clock.now_s += 1
        statistics.note_received(f"/face{i}")
    read = statistics.snapshot()
    assert len(read) == MAX_CAMERAS
    assert "/face9" not in read
    assert "/face10" in read


def test_threads_lose_no_count():
    statistics = Statistics()
    threads = [
        threading.Thread(target=lambda: [statistics.note_received("/left") for _ in range(500)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statistics.snapshot()["/left"].received == 2000


def test_images_that_never_arrived_are_told_from_the_stamps_and_a_pause_is_none():
    statistics = Statistics()
    for stamp in (1, 2, 3, 6, 7):
        statistics.note_received("/left", stamp * 10**8)
    assert statistics.snapshot()["/left"].missing == 2
    statistics.pause()
    statistics.note_received("/left", 20 * 10**8)
    assert statistics.snapshot()["/left"].missing == 2
