"""How Python's threads take turns in a node's process."""

from __future__ import annotations

import sys
from typing import Final

TURN_S: Final = 0.0005


def take_short_turns() -> None:
    """Let a thread that waits for its turn have it after half a millisecond, where Python's own rule is five.

    A service's answer needs dozens of turns while the images in work hold the interpreter: beside 64 faces in an image
    the slowest came after 76 to 97 ms in place of 133 to 204, and a node with eight cameras answered 5 to 15 % more
    images (`test/ros/faults.py --only overload crowd`). For the process as a whole, so only its own programs call it.
    """
    sys.setswitchinterval(TURN_S)
