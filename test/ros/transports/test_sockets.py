"""What did not fit into the sockets' buffers is counted."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from aue_crl_ros.transports.sockets import RECENT_S, DatagramLosses

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_does_not_fit_is_counted_once(overflow, address):
    losses = DatagramLosses()
    losses.begin()
    overflow(address)
    losses.look()
    assert 10 <= losses.count < 20
    before = losses.count
    losses.look()
    assert losses.count == before
    overflow(address)
    losses.look()
    assert losses.count > before


def test_what_was_lost_before_is_not_counted(overflow):
    overflow()
    losses = DatagramLosses()
    losses.begin()
    losses.look()
    assert (losses.count, losses.recent) == (0, False)


def test_a_loss_is_news_for_a_while(overflow):
    now_s = time.monotonic()
    losses = DatagramLosses(lambda: now_s)
    losses.begin()
    overflow()
    losses.look()
    assert losses.recent
    now_s += RECENT_S
    assert not losses.recent
    assert losses.count


def test_what_another_process_loses_is_its_own_matter():
    losses = DatagramLosses()
    losses.begin()
    other = (
        "import socket\n"
        "full, sender = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))\n"
        "full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)\n"
        "full.bind(('127.0.0.1', 0))\n"
        "for _ in range(20): sender.sendto(bytes(10_000), full.getsockname())\n"
        "print(flush=True), input()"
    )
    with subprocess.Popen([sys.executable, "-c", other], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        losses.look()
        process.communicate(b"\n")
    assert losses.count == 0
