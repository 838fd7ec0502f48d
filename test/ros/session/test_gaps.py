"""What is missing, told from the stamps of what arrived."""

from __future__ import annotations

import numpy as np
import pytest

from aue_crl_ros.session.gaps import StampGaps

START_NS = 1_700_000_000 * 10**9
HZ = 30


def missing(numbers, jitter=0.0, hz=HZ):
    """Of a camera whose images of these numbers arrive; each is stamped up to `jitter` of a step early or late."""
    off = np.random.default_rng(0).uniform(-jitter, jitter, len(numbers))
    gaps = StampGaps()
    for number, late in zip(numbers, off, strict=True):
        gaps.note(START_NS + round((number + late) * 1e9 / hz))
    return gaps.missing


def test_nothing_is_missing_of_a_camera_that_loses_nothing():
    assert missing(range(300)) == 0


def test_a_jitter_of_the_stamps_is_no_loss():
    assert missing(range(300), jitter=0.15) == 0


def test_every_image_that_did_not_arrive_is_counted():
    arrived = [i for i in range(300) if i % 7 and i not in (100, 101, 102)]
    assert missing(arrived, jitter=0.1) == arrived[-1] + 1 - arrived[0] - len(arrived)


def test_of_half_of_the_images_lost_most_are_counted():
    arrived = np.flatnonzero(np.random.default_rng(1).random(600) < 0.5)
    lost = arrived[-1] - arrived[0] + 1 - len(arrived)
    assert missing(arrived) == pytest.approx(lost, rel=0.05)


def test_a_slower_rate_is_soon_the_usual_one():
    assert missing([*range(100), *range(100, 1000, 2)]) < 64


def test_stamps_that_start_over_or_pause_for_seconds_or_are_not_there_are_no_loss():
    gaps = StampGaps()
    for stamp in (0, 0, 5, 6, 7, 2, 3, 4, 9_000, 9_001, 0, 9_010, 9_011):
        gaps.note(stamp * 10**9)
    assert gaps.missing == 0


def test_nothing_is_awaited_in_a_pause():
    gaps = StampGaps()
    for second in (1, 2, 3):
        gaps.note(second * 10**9)
    gaps.pause()
    gaps.note(7 * 10**9)
    assert gaps.missing == 0


@pytest.mark.parametrize("spread", [(0.5, 3.0), (0.1, 10.0)])
def test_of_a_camera_that_is_not_steady_next_to_nothing_is_counted(spread):
    steps = np.exp(np.random.default_rng(2).uniform(*np.log(spread), 600))
    assert missing(np.cumsum(steps)) < 30


def test_a_camera_that_becomes_steady_is_counted_again():
    unsteady = np.cumsum(np.random.default_rng(3).uniform(0.3, 2.5, 100))
    steady = unsteady[-1] + 1 + np.array([i for i in range(300) if i % 10])
    assert missing(np.concatenate([unsteady, steady])) == pytest.approx(20, abs=12)


def test_the_share_is_that_of_the_last_images():
    gaps = StampGaps()
    for number in [i for i in range(200) if i % 4]:
        gaps.note(START_NS + number * 10**9 // HZ)
    assert gaps.share == pytest.approx(0.25, abs=0.02)
    gaps.pause()
    assert gaps.share == 0
    for number in range(200, 300):
        gaps.note(START_NS + number * 10**9 // HZ)
    assert gaps.share == 0


def test_of_a_few_images_no_share_is_told():
    gaps = StampGaps()
    for number in range(0, 32, 2):
        gaps.note(START_NS + number * number * 10**9)
    assert gaps.share == 0


def test_a_rate_that_was_thinned_unevenly_is_no_loss():
    """13 of 30 images a second, as a throttle makes them: steps of two and of three."""
    kept = [round(i * 30 / 13) for i in range(400)]
    assert missing(kept) == 0
