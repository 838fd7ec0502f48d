"""Threads that wait get their turn soon."""

from __future__ import annotations

import sys

import pytest

from aue_crl_ros.turns import TURN_S, take_short_turns


def test_turns_are_a_tenth_of_pythons_own():
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(10 * TURN_S)
        take_short_turns()
        assert sys.getswitchinterval() == pytest.approx(TURN_S)
    finally:
        sys.setswitchinterval(before)
