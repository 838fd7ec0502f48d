"""A DDS node in a process of its own, and what a person beside it could do and see."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from node_bench import DIAGNOSTICS, EXPRESSIONS, ROOT, Camera, Listener, Process, latest_status

from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import Qos

Promises = Iterator[tuple[str, bool]]
"""What is promised, and whether it was kept."""
WAIT_S = 60.0
ALL = Qos(reliable=True, depth=1000)


def eventually(condition: Callable[[], object]) -> object:
    """What the condition comes to within a minute."""
    end = time.monotonic() + WAIT_S
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return held


class Scene:
    """A node in a process of its own and a namespace of its own, its camera, and ears for what it says."""

    numbers = itertools.count(1)
    portrait = cv2.cvtColor(cv2.imread(str(ROOT / "test/data/portrait.jpg")), cv2.COLOR_BGR2RGB)

    def __init__(self, transport: DdsTransport, folder: Path) -> None:
        self.transport, self.folder = transport, folder
        self.namespace = f"/faults_{os.getpid()}_{next(self.numbers)}"
        self.name, self.topic = f"{self.namespace}/aue_crl", f"{self.namespace}/image"
        self.camera = Camera(transport, self.topic, eventually)
        self.cameras = [self.camera]
        self.results = Listener(transport, f"{self.name}/expressions", EXPRESSIONS, ALL)
        self.diagnostics = Listener(transport, "/diagnostics", DIAGNOSTICS)
        self.nodes: list[Process] = []
        self.figures: dict[str, list[float]] = {}

    def add_cameras(self, count: int) -> None:
        """So many more, for the nodes that are started from now on."""
        topics = (f"{self.topic}_{number}" for number in range(count))
        self.cameras += [Camera(self.transport, topic, eventually) for topic in topics]

    def start(self, *options: str, program: tuple[str, ...] = ("-m", "aue_crl_core")) -> Process:
        """Another node at the same place."""
        log = self.folder / f"{self.namespace[1:]}_{len(self.nodes)}.log"
        given = ["--param", "threads:=1", "--param", "stale_after_s:=1", *options]
        topics = [word for camera in self.cameras for word in ("--image-topic", camera.topic)]
        self.nodes.append(Process(log, *program, "node", *topics, "--namespace", self.namespace, *given))
        return self.nodes[-1]

    def answer(self, image: np.ndarray | None = None, **changes: object) -> object:
        """The node's message of an image (the portrait) that is sent until it comes; None: it does not come."""
        image = self.portrait if image is None else image
        sent = self.camera.message(image, time.time_ns(), **changes)

        def come() -> object:
            self.camera.publisher.publish(sent)
            time.sleep(0.05)
            return next((message for message in self.results.heard if message.header == sent.header), None)

        return eventually(come)

    def sees_the_face(self, **changes: object) -> bool:
        """Whether one of ten images of the portrait is answered with one face: what was followed is let go first."""
        answers = (self.answer(**changes) for _ in range(10))
        return any(message is not None and len(message.faces) == 1 for message in answers)

    def status(self, topic: str = "") -> object:
        """The newest diagnostics of a camera."""
        return latest_status(self.diagnostics.heard, f"{self.name}: {topic or self.topic}")

    def close(self) -> None:
        """End what still runs."""
        for node in self.nodes:
            node.kill()
        self.results.close()
        self.diagnostics.close()
        for camera in self.cameras:
            camera.publisher.close()
