"""Cyclone DDS is asked for large receive buffers, and what the user says counts more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PROBE = """
import os, socket
from aue_crl_ros.transports.dds.transport import DdsTransport

before = os.environ.get("CYCLONEDDS_URI")
with DdsTransport("probe"):
    assert os.environ.get("CYCLONEDDS_URI") == before
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as there:
                if there.type == socket.SOCK_DGRAM:
                    print(there.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
        except OSError:
            pass
with socket.socket(type=socket.SOCK_DGRAM) as most:
    most.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    print(most.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
"""
"""Prints the receive buffers of a node's sockets, and the most that this kernel gives."""

SMALL = (
    '<CycloneDDS><Domain id="any"><Internal><SocketReceiveBufferSize max="100 kB"/></Internal></Domain></CycloneDDS>'
)


def buffers() -> tuple[list[int], int]:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    *sockets, most = map(int, done.stdout.split())
    return sockets, most


def test_a_node_has_the_largest_buffers_that_the_kernel_gives(domain):
    sockets, most = buffers()
    assert sockets
    assert set(sockets) == {most}


def test_the_users_own_size_counts(domain, monkeypatch):
    monkeypatch.setenv("CYCLONEDDS_URI", f"{os.environ['CYCLONEDDS_URI']},{SMALL}")
    sockets, most = buffers()
    assert sockets
    assert max(sockets) <= 2 * 100 * 1024 < most
