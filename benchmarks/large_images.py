"""What images of a camera's size cost the node, raw and compressed: how many are answered, how late, at what price.

    python benchmarks/large_images.py                  # the node on plain DDS
    python benchmarks/large_images.py --transport ros  # the rclpy node, in a sourced workspace

One face, as large a part of every picture; publisher, node and listener on this machine, with the buffers that they
take by themselves (`sysctl net.core.rmem_max` bounds them). A line for each: images published and answers received a
second, milliseconds from the image's stamp to the answer, the node's processor share (100 % is one core), and how
many images it dropped unread.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import time

import cv2
import numpy as np
from node_latency import Run, lifecycle, measure, node_command, picture, transport_of

SIZES = ("640x480", "1280x720", "1920x1080", "3840x2160")


def photograph(size: str) -> np.ndarray:
    """HxWx3 uint8 RGB with one face whose share of the height is the same at every size."""
    width, height = map(int, size.split("x"))
    middle = cv2.resize(picture(1), (height * 4 // 3, height), interpolation=cv2.INTER_CUBIC)
    spare = width - middle.shape[1]
    return cv2.copyMakeBorder(middle, 0, 0, spare // 2, spare - spare // 2, cv2.BORDER_CONSTANT, value=(90, 90, 90))


def main() -> None:
    """Both transports of images, every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transport", choices=("dds", "ros"), default="dds")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=15.0, help="images a second")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WIDTHxHEIGHT")
    parser.add_argument("--kinds", nargs="+", choices=("raw", "compressed"), default=("raw", "compressed"))
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        command = node_command(arguments.transport, [f"image_transport:={kind}"])
        node = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with transport_of(arguments.transport) as transport:
                time.sleep(4)
                if arguments.transport == "ros":
                    lifecycle("configure")
                    lifecycle("activate")
                for size in arguments.sizes:
                    run = Run(transport, photograph(size), compressed=kind == "compressed")
                    run.listen()
                    time.sleep(2)
                    measure(f"{size} {kind}", run, node.pid, arguments.rate, arguments.seconds)
                    run.close()
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(20)


if __name__ == "__main__":
    main()
