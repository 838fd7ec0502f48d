"""Between configure and cleanup: it begins anew, nothing is left behind, a failure is seen."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
import weakref

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("rosbags")

from memory_transport import START_NS
from onnxruntime import InferenceSession
from runtime_bench import RESULTS, SETTINGS, ids

from aue_crl_core.engines.parts import BatchSession


def test_deactivated_it_drops_everything_and_can_begin_anew(make, transport, ask, photograph):
    runtime = make(hri=True)
    runtime.activate()
    assert ids(ask(photograph)) == ["f1"]
    transport.show(photograph)
    runtime.deactivate()
    count = len(transport.results())
    assert not runtime.active
    assert not transport.inputs()
    assert transport.outputs() == {*RESULTS, "~/model", "/humans/faces/tracked"}
    assert transport.last("tracked").ids == []
    assert runtime.session.statistics.snapshot() == {}
    runtime.poll()
    assert not transport.inputs()
    runtime.activate()
    again = ask(photograph, START_NS + 1)
    assert len(transport.results()) == count + 1  # the unread image of before was dropped
    assert again.header == transport.header(START_NS + 1)
    assert ids(again) != ["f1"]


def test_activating_and_deactivating_twice_is_once(make, transport):
    runtime = make()
    runtime.deactivate()
    threads = threading.active_count()
    runtime.activate()
    runtime.activate()
    assert threading.active_count() == threads + 1
    assert len(transport.inputs()) == 1
    runtime.deactivate()
    runtime.deactivate()
    assert threading.active_count() == threads


def networks_of(runtime):
    engine = runtime.session._analyzer.engine._engine
    models = [model for model in vars(engine).values() if isinstance(model, BatchSession)]
    return [value for model in models for value in vars(model).values() if isinstance(value, InferenceSession)]


def test_closed_it_has_no_topics_no_thread_and_no_network(make, transport, ask, photograph):
    threads = threading.active_count()
    runtime = make(hri=True, debug_image=True)
    runtime.activate()
    ask(photograph)
    networks = [weakref.ref(network) for network in networks_of(runtime)]
    runtime.close()
    assert transport.outputs() == set()
    assert transport.inputs() == []
    assert threading.active_count() == threads
    assert [network() for network in networks] == [None, None]


def test_an_image_that_comes_after_close_does_no_harm(make, transport, photograph):
    runtime = make()
    runtime.activate()
    (late,) = transport.inputs()
    runtime.close()
    late.callback(transport.image(photograph))
    assert transport.results() == []


def test_a_failure_is_kept_logged_and_not_the_end(make, transport, ask, photograph, eventually, monkeypatch):
    runtime = make()
    runtime.activate()
    ask(photograph)
    engine = runtime.session._analyzer.engine._engine
    real = engine.predict

    def out_of_memory(crops, points):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(engine, "predict", out_of_memory)
    transport.show(photograph, START_NS + 1)
    assert eventually(lambda: runtime.failure)
    assert runtime.failure == "RuntimeError: CUDA out of memory"
    assert eventually(lambda: transport.logged)
    ((level, text),) = transport.logged
    assert level == "error"
    assert "please report" in text
    assert "out_of_memory" in text  # the traceback
    asked = runtime.calibrate("", 1.0)
    runtime.poll()
    assert not runtime.subscribed
    assert not runtime.session.calibrating
    assert "deactivate and activate" in asked.result(timeout=0).message
    monkeypatch.setattr(engine, "predict", real)
    runtime.deactivate()
    runtime.activate()
    assert runtime.failure == ""
    assert len(ask(photograph, START_NS + 2).faces) == 1


def test_polling_updating_and_restarting_amid_images_loses_no_thread_and_no_topic(make, transport, photograph):
    runtime = make(hri=True, debug_image=True)
    transport.audience = lambda name: 1
    died, stop = [], threading.Event()
    small = np.ascontiguousarray(photograph[::2, ::2])

    def film():
        stamp_ns = START_NS
        while not stop.is_set():
            stamp_ns += 33_000_000
            for topic in transport.inputs():
                topic.callback(transport.image(small, stamp_ns))
            time.sleep(0.001)

    hook, threading.excepthook = threading.excepthook, died.append
    camera = threading.Thread(target=film)
    try:
        camera.start()
        for i in range(24):
            runtime.activate()
            for j in range(8):
                runtime.poll()
                changes = {"privacy": j % 2 == 0, "debug_image": j % 3 == 0, "max_faces": 1 + j}
                runtime.update(SETTINGS.changed({"hri": True, **changes}))
                time.sleep(0.002)
            if i % 2:
                runtime.deactivate()
    finally:
        stop.set()
        camera.join()
        threading.excepthook = hook
    runtime.close()
    assert died == []
    assert runtime.failure == ""
    assert [text for _, text in transport.logged] == []
    assert transport.outputs() == set()
    assert transport.inputs() == []


def test_images_leave_nothing_behind(make, transport, ask, photograph):
    runtime = make(hri=True)
    runtime.activate()
    small = np.ascontiguousarray(photograph[::3, ::3])
    stamps_ns = itertools.count(START_NS, 33_000_000)

    def blocks_after(count):
        for _ in range(count):
            ask(small, next(stamps_ns))
            for topic in transport.published:
                topic.sent.clear()
        gc.collect()
        return sys.getallocatedblocks()

    before = blocks_after(50)
    assert blocks_after(100) - before < 5 * 100  # a message kept is hundreds
