#!/usr/bin/env python3
"""Play photographs, folders or videos as a camera, on ROS 2: play_as_camera.py SOURCE..."""

from __future__ import annotations

import sys

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from aue_crl_core.errors import AueCrlError
from aue_crl_ros.player import argument_parser, play_arguments
from aue_crl_ros.transports.ros import RosTransport


def main() -> int:
    """Play until the end or Ctrl-C; ROS arguments (`--ros-args -r ...`) are understood."""
    arguments = argument_parser(__doc__).parse_args(remove_ros_args(sys.argv)[1:])
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    node = Node("play_as_camera")
    try:
        return play_arguments(RosTransport(node), arguments)
    except AueCrlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == "__main__":
    sys.exit(main())
