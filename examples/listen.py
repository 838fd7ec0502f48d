#!/usr/bin/env python3
"""Print a line for each face that the node sees: listen.py [--ros-args -r __ns:=/robot]."""

from __future__ import annotations

import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from aue_crl.msg import FaceExpression, FaceExpressionArray

ACTIVE = 0.5
STATES = {FaceExpression.UNCERTAIN: " (uncertain)", FaceExpression.LOW_QUALITY: " (low quality)"}


class Listener(Node):
    """Subscribes with the default, reliable QoS, which the node's results match."""

    def __init__(self) -> None:
        super().__init__("listen")
        self.create_subscription(FaceExpressionArray, "aue_crl/expressions", self.show, 10)

    def show(self, message: FaceExpressionArray) -> None:
        """One line a face: id, label, confidence, active units, and how old the image was when it was published."""
        for face in message.faces:
            units = " ".join(f"AU{u.code}" for u in face.action_units if u.estimated and u.probability >= ACTIVE)
            label = f"{face.expression} {face.confidence:.0%}{STATES.get(face.state, '')}"
            print(f"{face.face_id:4} {label:32} {units:40} {message.latency * 1e3:5.0f} ms", flush=True)


def main() -> None:
    """Listen until Ctrl-C."""
    rclpy.init(args=sys.argv)
    node = Listener()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
