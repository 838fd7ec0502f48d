#!/usr/bin/env python3
"""Play photographs, folders or videos as a camera, on plain DDS without ROS: play_as_camera_dds.py SOURCE..."""

from __future__ import annotations

import logging
import sys

from aue_crl_core.errors import AueCrlError
from aue_crl_ros.player import argument_parser, play_arguments
from aue_crl_ros.transports.dds.transport import DdsTransport


def main() -> int:
    """Play until the end or Ctrl-C."""
    parser = argument_parser(__doc__)
    parser.add_argument("--namespace", default="/", help="of the node (default: %(default)s)")
    parser.add_argument("--domain", type=int, help="DDS domain (default: ROS_DOMAIN_ID, else 0)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with DdsTransport("play_as_camera", arguments.namespace, {}, arguments.domain) as transport:
            return play_arguments(transport, arguments)
    except AueCrlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
