#!/usr/bin/env python3
"""A behaviour that greets who smiles (pip install py_trees): greet.py [--ros-args -r __ns:=/robot].

The tree waits for a smile that begins, greets that face once, and waits for the next. `print` stands for speech.
"""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable

import py_trees
from py_trees.common import Status

TICK_S = 0.1


class WaitForSmile(py_trees.behaviour.Behaviour):
    """Succeeds with each new id in `smiles`, and takes it out; each face counts once."""

    def __init__(self, smiles: deque[str], known: set[str]) -> None:
        super().__init__("wait for a smile")
        self.smiles, self.known = smiles, known
        self.face_id = ""

    def update(self) -> Status:
        """One tick."""
        while self.smiles:
            self.face_id = self.smiles.popleft()
            if self.face_id not in self.known:
                self.known.add(self.face_id)
                return Status.SUCCESS
        return Status.RUNNING


class Greet(py_trees.behaviour.Behaviour):
    """Says hello to the face that was waited for."""

    def __init__(self, waiting: WaitForSmile, say: Callable[[str], None]) -> None:
        super().__init__("greet")
        self.waiting, self.say = waiting, say

    def update(self) -> Status:
        """One tick."""
        self.say(f"Hello, {self.waiting.face_id}! Nice to see you smile.")
        return Status.SUCCESS


def tree(smiles: deque[str], say: Callable[[str], None] = print) -> py_trees.behaviour.Behaviour:
    """Wait, then greet; `smiles` are the ids of faces that began to smile, as they come."""
    waiting = WaitForSmile(smiles, set())
    root = py_trees.composites.Sequence("greet who smiles", memory=True)
    root.add_children([waiting, Greet(waiting, say)])
    return root


def main() -> None:
    """Tick the tree on the node's events until Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    from aue_crl.msg import ExpressionEvent

    smiles: deque[str] = deque()

    def take(event: ExpressionEvent) -> None:
        if event.expression == "happiness" and event.phase == ExpressionEvent.BEGAN:
            smiles.append(event.face_id)

    rclpy.init(args=sys.argv)
    node = rclpy.create_node("greet")
    node.create_subscription(ExpressionEvent, "aue_crl/events", take, 10)
    root = tree(smiles)
    node.create_timer(TICK_S, root.tick_once)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
