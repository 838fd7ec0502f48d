"""Cameras, the worker and whoever asks are threads of their own, and none waits for another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from session_bench import REPEATABLE, S, frame


def test_closing_wakes_the_worker(bench, photograph):
    seen = []
    worker = threading.Thread(target=lambda: seen.append(bench.session.step(60)))
    worker.start()
    bench.session.close()
    worker.join(20)
    assert seen == [[]]
    bench.session.offer(frame(photograph, 1.0))
    assert bench.session.step(0) == []


def test_a_fast_camera_never_makes_a_queue(bench, empty):
    """A producer that is done before the consumer has read twice: what was not read is counted, not kept."""
    offered = 200
    release, observations = threading.Event(), []

    def slow() -> np.ndarray:
        release.wait(60)
        return empty

    worker = threading.Thread(target=lambda: observations.extend(bench.session.step(60)))
    bench.session.offer(frame(slow, 0.0))
    worker.start()
    for i in range(1, offered):
        bench.session.offer(frame(empty, float(i)))
    release.set()
    worker.join(60)
    observations += bench.session.step(0)
    read = bench.session.statistics.snapshot()["/left"]
    assert observations[-1].stamp_ns == (offered - 1) * S
    assert len(observations) <= 2
    assert (read.received, read.processed + read.dropped) == (offered, offered)
    assert observations[-1].dropped == read.dropped


def test_whoever_asks_does_not_wait_for_the_images_in_work(bench, empty):
    begun, release = threading.Event(), threading.Event()

    def slow() -> np.ndarray:
        begun.set()
        release.wait(60)
        return empty

    bench.session.offer(frame(slow, 0.0))
    with ThreadPoolExecutor() as threads:
        threads.submit(bench.session.step, 60)
        assert begun.wait(60)
        asked = [
            threads.submit(bench.session.forget_neutral, ""),
            threads.submit(bench.session.calibrate, "nobody", 1.0),
        ]
        _, waiting = wait(asked, timeout=20)
        release.set()
    assert not waiting


def test_any_thread_may_ask_anything_while_images_are_read(bench, photograph):
    """Nothing is asserted of the order; nobody fails, and everybody is answered."""
    answers, failures, done = [], [], threading.Event()

    def ask() -> None:
        for i in range(40):
            bench.session.update(replace(REPEATABLE, max_faces=1 + i % 3))
            answers.append(bench.session.calibrate("f1", 0.2))
            bench.session.forget_neutral("")
            bench.session.statistics.snapshot()

    def offer() -> None:
        i = 0
        while not done.is_set():
            i += 1
            bench.session.offer(frame(photograph, 10 + i / 1000))
            done.wait(0.002)

    def work() -> None:
        try:
            while not done.is_set():
                bench.session.step(0.01)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=target) for target in (work, offer)]
    askers = [threading.Thread(target=ask) for _ in range(2)]
    for thread in (*threads, *askers):
        thread.start()
    for thread in askers:
        thread.join(60)
    bench.session.reset()
    done.set()
    for thread in threads:
        thread.join(60)
    bench.session.close()
    assert failures == []
    assert len(answers) == 80
    assert all(answer.result(timeout=60).message for answer in answers)
