"""A subscriber that hangs and a camera that dies do the running node no harm; it ends well.

The last file of its folder: its last test ends the node that all share.
"""

from __future__ import annotations

import signal
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from node_bench import EVENT, EXPRESSIONS, ROOT, S, stamp_ns

from aue_crl_core.types import Frame
from aue_crl_ros.player import letterboxed
from aue_crl_ros.transports.transport import RESULT

HANG = """
import signal, sys
from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import RESULT
topic, kind = sys.argv[1:]
with DdsTransport("slow") as transport:
    transport.subscription(topic, kind, RESULT, lambda message: print("heard", flush=True))
    signal.pause()
"""


def test_a_subscriber_that_hangs_holds_up_nobody(camera, results, start, eventually, portrait):
    slow = start("-c", HANG, "/robot/aue_crl/expressions", EXPRESSIONS)
    stopped = camera("stopped")

    def heard():
        stopped.show(portrait, results)
        return "heard" in slow.words()

    assert eventually(heard)
    slow.signal(signal.SIGSTOP)
    for _ in range(3 * RESULT.depth):
        stopped.show(portrait, results)
    slow.signal(signal.SIGCONT)
    slow.kill()


def test_a_camera_that_dies_ends_its_faces_and_comes_back(play, hear, results, robot, eventually, portrait, analyzer):
    events = hear("/robot/aue_crl/events", EVENT)

    def seen_since(ns):
        return [r for r in results if r.camera == "/played/image" and stamp_ns(r.header.stamp) > ns]

    player = play("--topic", "/played/image")
    assert eventually(lambda: len(seen_since(0)) > 8)
    player.signal(signal.SIGKILL)
    player.ended()
    died_ns = time.time_ns()
    before = seen_since(0)
    view = letterboxed(cv2.cvtColor(cv2.imread(str(ROOT / "test/data/portrait.jpg")), cv2.COLOR_BGR2RGB), 320, 240)
    (expected,) = analyzer.process([Frame(view, camera="played")])[0]
    analyzer.forget()
    (first,) = before[0].faces
    assert first.expression == expected.expression
    np.testing.assert_allclose(first.probabilities, list(expected.probabilities.values()), atol=1e-3)
    assert {r.header.frame_id for r in before} == {"played"}
    stamps = [stamp_ns(r.header.stamp) for r in before]
    assert stamps == sorted(set(stamps))
    assert {face.face_id for r in before for face in r.faces} == {first.face_id}
    assert eventually(lambda: time.time_ns() - died_ns > 0.6 * S)  # a face is lost after 0.5 s of the images' stamps
    assert robot.runs()
    play("--topic", "/played/image")
    assert eventually(lambda: len(seen_since(died_ns)) > 4)
    (new,) = {face.face_id for r in seen_since(died_ns) for face in r.faces}
    assert new == first.face_id[:-1] + "2"
    back_ns = stamp_ns(seen_since(died_ns)[0].header.stamp)
    ended = {e.expression: e for e in events if e.face_id == first.face_id and e.phase == 2 and e.kind == 0}
    assert stamp_ns(ended[first.expression].header.stamp) == back_ns
    assert robot.runs()


def test_the_shared_node_lived_through_it_all_and_ends_well(robot):
    assert robot.runs()
    robot.signal(signal.SIGTERM)
    assert robot.ended() == 0
    assert "Traceback" not in robot.words()
