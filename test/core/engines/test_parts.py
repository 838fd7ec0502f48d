"""A batch that several threads share says what it says in one piece."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aue_crl_core.engines import find_weights
from aue_crl_core.engines.onnx import OnnxEngine
from aue_crl_core.engines.parts import BatchSession
from aue_crl_core.onnx_session import make_session

RNG = np.random.default_rng(0)
CROPS = RNG.integers(0, 256, (7, 96, 96, 3), dtype=np.uint8)
POINTS = (RNG.random((7, 68, 2)) * 96).astype(np.float32)


@pytest.mark.parametrize("threads", [2, 3, 9])
def test_every_face_gets_its_own_answer_in_its_own_place(threads):
    alone, shared = (OnnxEngine(find_weights("edge", "onnx"), threads=n) for n in (1, threads))
    for count in (1, 2, 3, 7):
        ours, theirs = (engine.predict(CROPS[:count], POINTS[:count]) for engine in (shared, alone))
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-5)
        np.testing.assert_allclose(ours.action_units, theirs.action_units, atol=1e-5)
        found, expected = (engine.landmarks(CROPS[:count])[0] for engine in (shared, alone))
        np.testing.assert_allclose(found, expected, atol=1e-3)
    shared.close()


class Named:
    """A session that says which thread ran it on what."""

    def __init__(self, fails_on: int | None = None) -> None:
        self.calls: list[tuple[str, list[int]]] = []
        self._fails_on = fails_on

    def run(self, _, feed):
        numbers = feed["images"].tolist()
        self.calls.append((threading.current_thread().name, numbers))
        if self._fails_on in numbers:
            raise RuntimeError("no")
        return [feed["images"] * 10]


def test_each_thread_gets_a_part_and_one_face_stays_whole():
    whole, single = Named(), Named()
    with ThreadPoolExecutor(2, "faces") as pool:
        session = BatchSession(whole, single, pool, threads=3)
        assert session.run({"images": np.arange(7)})[0].tolist() == [0, 10, 20, 30, 40, 50, 60]
        assert sorted(numbers for _, numbers in single.calls) == [[0, 1], [2, 3], [4, 5, 6]]
        assert not whole.calls
        session.run({"images": np.arange(1)})
    assert [numbers for _, numbers in whole.calls] == [[0]]
    names = {numbers[0]: name for name, numbers in single.calls}
    assert names[0] == "MainThread"
    assert names[2].startswith("faces")


@pytest.mark.parametrize("face", [0, 5])
def test_an_error_in_one_part_is_the_batch_s_and_no_part_is_left_running(face):
    single = Named(fails_on=face)
    with ThreadPoolExecutor(1, "faces") as pool:
        with pytest.raises(RuntimeError, match="no"):
            BatchSession(Named(), single, pool, threads=2).run({"images": np.arange(6)})
        assert len(single.calls) == 2


def test_without_a_pool_all_is_one_call():
    model = find_weights("edge", "onnx")
    session = BatchSession(make_session(model, threads=1))
    assert session.run({"images": CROPS, "points": POINTS})[0].shape == (7, 7)
