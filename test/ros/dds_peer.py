"""The other process of the DDS tests. `echo TYPE`, `hold TEXT`, `count RELIABILITY FIRST`, `listen RELIABILITY`."""

from __future__ import annotations

import itertools
import sys
import threading
import time

from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import LATCHED, RESULT, SENSOR


def main(task: str, *arguments: str) -> None:
    qos = {"reliable": RESULT, "best_effort": SENSOR}
    with DdsTransport(f"peer_{task}") as transport:
        new = transport.messages.new
        if task == "echo":
            back = transport.publisher("/back", arguments[0], RESULT)
            transport.subscription("/there", arguments[0], RESULT, back.publish)
        elif task == "hold":
            transport.publisher("/held", "std_msgs/msg/String", LATCHED).publish(
                new("std_msgs/msg/String", data=arguments[0])
            )
        elif task == "listen":
            transport.subscription("/there", "sensor_msgs/msg/Image", qos[arguments[0]], lambda message: None)
        print("ready", flush=True)
        if task == "count":
            publisher = transport.publisher("/count", "std_msgs/msg/UInt32", qos[arguments[0]])
            for number in itertools.count(int(arguments[1])):
                publisher.publish(new("std_msgs/msg/UInt32", data=number))
                time.sleep(0.02)
        threading.Event().wait()


main(*sys.argv[1:])
