"""Runtimes on a transport in memory."""

from __future__ import annotations

import pytest
from memory_transport import START_NS
from runtime_bench import SETTINGS, Node

from aue_crl_ros.runtime import ExpressionRuntime


@pytest.fixture
def transport():
    return Node()


@pytest.fixture
def make(transport):
    """Makes a runtime on `transport`, closed after the test."""
    made = []

    def begin(hub=None, **changes):
        made.append(ExpressionRuntime(transport, SETTINGS.changed(changes), hub))
        return made[-1]

    yield begin
    for runtime in made:
        if transport.outputs():
            runtime.close()


@pytest.fixture
def ask(transport, eventually):
    """Shows an image and waits for its message."""

    def show(pixels, stamp_ns=START_NS, camera="image"):
        before = len(transport.results())
        transport.show(pixels, stamp_ns, camera)
        assert eventually(lambda: len(transport.results()) > before)
        return transport.results()[-1]

    return show
