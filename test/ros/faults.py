"""Publishes to the real DDS node, breaks something, and watches what the node does.

    python test/ros/faults.py [--times 5] [--only sigint ...]

Prints a row a promise: how many times it was kept, of how many tries. Exit code 1 where one was not. What was measured
meanwhile follows, the median and the most.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from node_bench import EXPRESSIONS, Process, values_of
from overload import crowd, overload
from scene import Promises, Scene, eventually

from aue_crl_core.engines import find_weights
from aue_crl_ros.transports.dds.transport import DdsTransport

FAILING_ENGINE = """
import sys
from aue_crl_core.cli.main import main
from aue_crl_core.engines.onnx import OnnxEngine

predict, good = OnnxEngine.predict, iter(range(3))

def failing(engine, *arguments):
    if next(good, None) is None:
        raise RuntimeError("out of memory")
    return predict(engine, *arguments)

OnnxEngine.predict = failing
main(sys.argv[1:])
"""
LISTENER = """
import sys, time
from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import RESULT
with DdsTransport("peer") as transport:
    transport.subscription(sys.argv[1], sys.argv[2], RESULT, lambda message: print("heard", flush=True))
    time.sleep(600)
"""


def camera_stops(scene: Scene) -> Promises:
    scene.start()
    scene.answer()
    scene.diagnostics.heard.clear()
    yield "diagnostics warn", bool(eventually(lambda: (s := scene.status()) and "does the camera publish" in s.message))
    yield "it goes on when the camera returns", scene.sees_the_face()


def size_changes(scene: Scene) -> Promises:
    scene.start()
    for shape in ((480, 640), (120, 160), (1, 1), (720, 1280)):
        image = cv2.resize(scene.portrait, shape[::-1])
        message = scene.answer(image)
        yield "every size is answered", message is not None and (message.image_height, message.image_width) == shape
    yield "and faces are seen again", scene.sees_the_face()


def encoding_changes(scene: Scene) -> Promises:
    scene.start()
    rgb, width = scene.portrait, scene.portrait.shape[1]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    bgra = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)
    for encoding, pixels in (("rgb8", rgb), ("bgr8", rgb[:, :, ::-1]), ("mono8", grey), ("bgra8", bgra)):
        data = np.ascontiguousarray(pixels).reshape(-1)
        step = data.size // rgb.shape[0]
        assert step % width == 0
        yield "every encoding is read", scene.sees_the_face(encoding=encoding, step=step, data=data)


def pictures_are_damaged(scene: Scene) -> Promises:
    scene.start()
    scene.answer()
    damages = itertools.cycle([{"encoding": "fancy8"}, {"step": 3}, {"height": 4000}, {"data": np.zeros(0, np.uint8)}])

    def counted() -> bool:
        scene.camera.publisher.publish(scene.camera.message(scene.portrait, time.time_ns(), **next(damages)))
        time.sleep(0.05)
        return scene.status() is not None and int(values_of(scene.status())["failed"]) >= 4

    yield "they are counted and warned of", bool(eventually(counted)) and scene.status().level == 1
    yield "the next good one is read", scene.sees_the_face()


def subscriber_stalls(scene: Scene) -> Promises:
    node = scene.start()
    peer = Process(scene.folder / "stalls.log", "-c", LISTENER, f"{scene.name}/expressions", EXPRESSIONS)
    eventually(lambda: scene.answer() and "heard" in peer.words())
    peer.signal(signal.SIGSTOP)
    yield "the others are answered", all(scene.sees_the_face() for _ in range(30))
    peer.signal(signal.SIGCONT)
    before = peer.words().count("heard")
    yield (
        "it is answered again when it wakes",
        bool(eventually(lambda: scene.answer() and peer.words().count("heard") > before)),
    )
    peer.kill()
    yield "the node runs", node.runs()


def peer_restarts(scene: Scene) -> Promises:
    node = scene.start()
    for _ in range(2):
        peer = Process(scene.folder / "restarts.log", "-c", LISTENER, f"{scene.name}/expressions", EXPRESSIONS)
        heard = eventually(lambda peer=peer: scene.answer() and "heard" in peer.words())
        yield "it hears results, killed and started again", bool(heard)
        peer.kill()
    yield "the node runs", node.runs()


def engine_throws(scene: Scene) -> Promises:
    node = scene.start(program=("-c", FAILING_ENGINE))

    def ended() -> bool:
        scene.camera.publisher.publish(scene.camera.message(scene.portrait, time.time_ns()))
        time.sleep(0.05)
        return not node.runs()

    yield "the node ends with code 1", bool(eventually(ended)) and node.ended() == 1
    yield "the log says why", "out of memory" in node.words()
    scene.start()
    yield "started again it works", scene.sees_the_face()


def _weights(scene: Scene, weights: Path) -> Promises:
    node = scene.start("--weights", str(weights))
    lines = [line for line in ("" if node.ended() != 2 else node.words()).splitlines() if not line.startswith("[")]
    yield "configuring fails with code 2 and one line", len(lines) == 1 and lines[0].startswith("error: ")
    scene.start()
    yield "with good ones it works", scene.sees_the_face()


def weights_are_missing(scene: Scene) -> Promises:
    yield from _weights(scene, scene.folder / "absent.onnx")


def weights_are_damaged(scene: Scene) -> Promises:
    good, bad = find_weights("edge", "onnx"), scene.folder / "edge.onnx"
    data = bytearray(good.read_bytes())
    for place in random.sample(range(1000, len(data)), 1000):
        data[place] ^= 1 << random.randrange(8)
    bad.write_bytes(data)
    landmarks = good.with_name("edge.landmarks.onnx")
    bad.with_name("edge.landmarks.onnx").write_bytes(landmarks.read_bytes())
    yield from _weights(scene, bad)


def _signal(scene: Scene, number: signal.Signals, code: int) -> Promises:
    node, end = scene.start(), time.monotonic() + random.uniform(0, 8)
    while time.monotonic() < end:
        scene.camera.publisher.publish(scene.camera.message(scene.portrait, time.time_ns()))
        time.sleep(0.05)
    began = "it meets" in node.words()
    node.signal(number)
    ended = eventually(lambda: not node.runs())
    yield "the node ends, at any moment", bool(ended)
    if began:
        clean = node.ended() == code and "Traceback" not in node.words()
        yield f"with code {code} and without a traceback, once it has begun", clean
    yield "its topics go", bool(eventually(lambda: scene.results.publishers() == 0))
    scene.start()
    yield "started again it works", scene.sees_the_face()


def sigint(scene: Scene) -> Promises:
    yield from _signal(scene, signal.SIGINT, 0)


def sigterm(scene: Scene) -> Promises:
    yield from _signal(scene, signal.SIGTERM, 0)


def sigkill(scene: Scene) -> Promises:
    yield from _signal(scene, signal.SIGKILL, -signal.SIGKILL)


FAULTS = (
    *(camera_stops, size_changes, encoding_changes, pictures_are_damaged, subscriber_stalls, peer_restarts),
    *(engine_throws, weights_are_missing, weights_are_damaged, sigint, sigterm, sigkill, overload, crowd),
)


def main() -> int:
    """Every fault so many times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=[fault.__name__ for fault in FAULTS])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell has it ignored, nodes would ignore it too
    os.environ.setdefault("ROS_DOMAIN_ID", str(101 + os.getpid() % 60))
    broken = 0
    print(f"{'fault':22}{'promise':66}kept")
    with tempfile.TemporaryDirectory() as folder, DdsTransport("faults") as transport:
        for fault in FAULTS:
            if arguments.only and fault.__name__ not in arguments.only:
                continue
            kept: dict[str, list[bool]] = {}
            figures: dict[str, list[float]] = {}
            for _ in range(arguments.times):
                scene = Scene(transport, Path(folder))
                for promise, held in fault(scene):
                    kept.setdefault(promise, []).append(held)
                    if not held:
                        print(f"  {fault.__name__}: {promise}: not kept; the nodes said:", file=sys.stderr)
                        print(*(node.words() for node in scene.nodes), sep="\n--\n", file=sys.stderr)
                scene.close()
                for figure, values in scene.figures.items():
                    figures.setdefault(figure, []).extend(values)
            name = fault.__name__.replace("_", " ")
            for promise, tries in kept.items():
                print(f"{name:22}{promise:66}{sum(tries)} of {len(tries)}", flush=True)
                broken += tries.count(False)
            for figure, values in figures.items():
                print(f"{name:22}{figure:66}{np.median(values):.0f}, {max(values):.0f}", flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
