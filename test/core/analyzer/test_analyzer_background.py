"""A search in the background: it holds up no frame, and what it finds comes later or not at all."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.types import Frame


class _Slow:
    """A detector that finds nothing before it may go on."""

    name, at_any_roll = "slow", None

    def __init__(self, detector) -> None:
        self._detector = detector
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.threads: list[str] = []

    def __call__(self, image):
        assert self.may_go_on.wait(10)
        self.threads.append(threading.current_thread().name)
        return self._detector(image)


def test_a_search_in_the_background_holds_up_no_frame_and_its_faces_come_later(analyzer, photograph):
    detector = _Slow(analyzer.detector)
    config = AnalyzerConfig(detect_every=2, background_search=True)
    live = FaceAnalyzer(analyzer.engine, detector, config)
    alone = np.hstack([photograph, np.zeros_like(photograph)])
    both = np.hstack([photograph, photograph[:, ::-1]])

    def ids(image, number):
        return sorted(face.face_id for face in live.process([Frame(image, time_s=number / 30, camera="c")])[0])

    assert ids(alone, 0) == ["f1"]  # nobody is followed yet, so the first search is not put off
    assert detector.threads == ["MainThread"]
    detector.may_go_on.clear()
    assert [ids(both, number) for number in range(1, 6)] == [["f1"]] * 5
    detector.may_go_on.set()
    number = 6
    while (seen := ids(both, number)) == ["f1"]:
        assert number < 300
        number += 1
        time.sleep(0.01)
    assert seen == ["f1", "f2"]
    assert "MainThread" not in detector.threads[1:]


def test_what_a_background_search_finds_is_dropped_with_its_tracks(analyzer, photograph, empty):
    detector = _Slow(analyzer.detector)
    live = FaceAnalyzer(analyzer.engine, detector, AnalyzerConfig(detect_every=1, background_search=True))
    live.process([Frame(photograph, time_s=0.0, camera="c")])
    detector.may_go_on.clear()
    live.process([Frame(photograph, time_s=0.1, camera="c")])
    live.forget()
    detector.may_go_on.set()
    assert live.process([Frame(empty, time_s=0.2, camera="c")]) == [[]]
