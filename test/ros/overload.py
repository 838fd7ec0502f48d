"""More than the node can answer: eight cameras at ten times its rate, and 64 faces in every image."""

from __future__ import annotations

import os
import time
from collections import Counter

import cv2
import numpy as np
from dds_client import Client
from node_bench import values_of
from scene import WAIT_S, Promises, Scene, eventually

TIMES, CAMERAS, FACES = 10, 8, 64
ASK_EVERY_S, ANSWER_WITHIN_S = 0.1, 5.0
ROUNDS, MAX_GROWTH_MB = 3, 20.0


class Caller:
    """Asks a service that something be done for a face that nobody knows, again and again."""

    def __init__(self, scene: Scene, service: str, kind: str, **request: object) -> None:
        self.client = Client(int(os.environ["ROS_DOMAIN_ID"]), f"{scene.name}/{service}", f"aue_crl/srv/{kind}")
        self._request = {"face_id": "nobody", **request}
        self._asked, self._asked_s = 0, 0.0
        self.waits_s: list[float] = []

    def answered(self) -> bool:
        """Whether no answer is awaited (any more)."""
        self.waits_s += [time.monotonic() - self._asked_s for _ in self.client.answers()]
        return len(self.waits_s) == self._asked

    def ask(self) -> None:
        """Once more, a while after the last answer."""
        if self.answered() and time.monotonic() - self._asked_s > ASK_EVERY_S:
            self._asked, self._asked_s = self._asked + 1, time.monotonic()
            self.client.send(self._asked, **self._request)


class Flood:
    """Of one image, from all cameras: ten for every answer of the node so far, whose services are asked meanwhile."""

    def __init__(self, scene: Scene, image: np.ndarray) -> None:
        self.scene, self.heard, self._image = scene, scene.results.heard, image
        self._sent, self._began_s = 0, 0.0
        self._callers = [
            Caller(scene, "calibrate_neutral", "CalibrateNeutral", duration=1.0),
            Caller(scene, "forget_neutral", "ForgetNeutral"),
        ]
        eventually(lambda: all(caller.client.available() for caller in self._callers))
        eventually(lambda: all(camera.publisher.listeners() for camera in scene.cameras))

    def run(self, answers: int) -> None:
        """Until there were so many answers, a minute at most."""
        self._began_s = self._began_s or time.monotonic()
        now_s = due_s = time.monotonic()
        end_s = now_s + WAIT_S
        while len(self.heard) < answers and now_s < end_s:
            now_s = time.monotonic()
            if now_s >= due_s:
                for camera in self.scene.cameras:
                    camera.publisher.publish(camera.message(self._image, time.time_ns()))
                self._sent += len(self.scene.cameras)
                due_s += 1 / (TIMES * max(1.0, self._rounds_hz()))
            for caller in self._callers:
                caller.ask()
            time.sleep(0.0005)

    def promises(self) -> Promises:
        """What holds of any flood; it ends here."""
        heard = self.heard
        yield "it answers", bool(heard)
        if not heard:
            return
        round_s = 1 / self._rounds_hz()
        dropped = self._counts()["dropped"]
        yield "diagnostics count what is dropped meanwhile", dropped > 0
        answered = eventually(lambda: all(caller.answered() for caller in self._callers))
        waits_s = [wait_s for caller in self._callers for wait_s in caller.waits_s]
        yield "services answer meanwhile, within five seconds", bool(answered) and max(waits_s) < ANSWER_WITHIN_S

        def accounted() -> bool:
            counts = self._counts()
            return counts["received"] == len(heard) + counts["dropped"] + counts["failed"]

        yield "what it received is answered, or counted as dropped", bool(eventually(accounted))
        quarter = -(-len(heard) // 4)
        ages_ms = [[1e3 * message.latency for message in part] for part in (heard[:quarter], heard[-quarter:])]
        yield "to the end images are answered within three rounds", np.median(ages_ms[1]) < 1e3 * ROUNDS * round_s
        self.scene.figures |= {
            "answers a second": [len(self.scene.cameras) / round_s],
            "images sent for each": [self._sent / len(heard)],
            "of those the node received, %": [100 * self._counts()["received"] / self._sent],
            "and told the others from the stamps (missing), %": [100 * self._counts()["missing"] / self._sent],
            "age of an image when it is answered, first quarter, ms": ages_ms[0],
            "the same, last quarter, ms": ages_ms[1],
            "a service answers after, ms": [1e3 * wait_s for wait_s in waits_s],
        }
        for caller in self._callers:
            caller.client.close()

    def _rounds_hz(self) -> float:
        """How many images of each camera are answered a second, so far."""
        return len(self.heard) / len(self.scene.cameras) / (time.monotonic() - self._began_s)

    def _counts(self) -> Counter[str]:
        """The diagnostics' counters of all cameras together."""
        told = [self.scene.status(camera.topic) for camera in self.scene.cameras]
        values = [values_of(status) for status in told if status is not None]
        return Counter({key: sum(int(v[key]) for v in values) for key in ("received", "dropped", "failed", "missing")})


def overload(scene: Scene) -> Promises:
    scene.add_cameras(CAMERAS - 1)
    scene.start()
    flood = Flood(scene, cv2.resize(scene.portrait, (160, 188), interpolation=cv2.INTER_AREA))
    flood.run(50 * CAMERAS)
    yield from flood.promises()
    answers = Counter(message.camera for message in scene.results.heard)
    fair = len(answers) == CAMERAS and 2 * min(answers.values()) >= max(answers.values())
    yield "no camera is answered less than half as often as another", fair


def crowd(scene: Scene) -> Promises:
    node = scene.start("--param", f"max_faces:={FACES}")
    small = cv2.resize(scene.portrait, (112, 132), interpolation=cv2.INTER_AREA)
    flood = Flood(scene, np.tile(small, (8, FACES // 8, 1)))
    flood.run(8)
    warm_mb = node.memory_mb()
    flood.run(20)
    grown_mb = node.memory_mb() - warm_mb
    yield from flood.promises()
    faces = [len(message.faces) for message in scene.results.heard]
    yield "most of the 64 faces are answered, and never more", FACES // 2 < max(faces) <= FACES
    yield "memory grows by less than 20 MB", grown_mb < MAX_GROWTH_MB
    yield "a single face is read after it", scene.sees_the_face()
    scene.figures |= {"faces": faces, "memory, MB": [warm_mb + grown_mb]}
