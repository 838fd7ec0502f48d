"""DDS on the loopback interface alone, in a domain of this test run, and messages with every field filled."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

LOOPBACK = """<CycloneDDS><Domain>
<General><Interfaces><NetworkInterface name="lo"/></Interfaces><AllowMulticast>false</AllowMulticast></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>40</MaxAutoParticipantIndex>
<Peers><Peer address="localhost"/></Peers></Discovery>
</Domain></CycloneDDS>"""


@pytest.fixture(scope="session")
def domain():
    """The DDS domain of this run: loopback only; child processes inherit it as ROS_DOMAIN_ID."""
    pytest.importorskip("cyclonedds")
    pytest.importorskip("rosbags")
    worker = os.environ.get("PYTEST_XDIST_WORKER")  # gw0, gw1, ...: each has a domain of its own
    number = 40 + (os.getpid() if worker is None else os.getppid() + int(worker[2:])) % 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CYCLONEDDS_URI", LOOPBACK)
        patch.setenv("ROS_DOMAIN_ID", str(number))
        patch.delenv("ROS_DISTRO", raising=False)
        yield number


@pytest.fixture
def node(domain):
    """Makes a `DdsTransport`, closed after the test."""
    from aue_crl_ros.transports.dds.transport import DdsTransport

    made = []

    def make(name="node", namespace="/", **options):
        made.append(DdsTransport(name, namespace, **options))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def peer(domain):
    """Starts `dds_peer.py` with the given arguments and waits until it is ready; ended after the test."""
    started = []

    def start(*arguments):
        script = Path(__file__).with_name("dds_peer.py")
        process = subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def filled(domain):
    """Makes a message of any type, each of its fields drawn from a generator, two elements in every sequence."""
    from rosbags.interfaces import Nodetype

    from aue_crl_ros.messages.interfaces import typestore

    store = typestore()

    def value(description, random):
        kind, detail = description
        if kind is Nodetype.NAME:
            return message(detail, random)
        if kind is Nodetype.BASE:
            name = detail[0]
            if name == "string":
                return "".join(random.choice(list("abcdé"), int(random.integers(0, 9))))
            if name == "bool":
                return bool(random.integers(2))
            if name.startswith("float"):
                return float(np.float32(random.normal()))
            return int(random.integers(0, 100))
        (element_kind, element), length = detail
        many = [value((element_kind, element), random) for _ in range(length if kind is Nodetype.ARRAY else 2)]
        numeric = element_kind is Nodetype.BASE and element[0] != "string"
        return np.array(many, dtype=element[0]) if numeric else many

    def message(type_name, random):
        fields = {name: value(description, random) for name, description in store.fielddefs[type_name][1]}
        return store.types[type_name](**fields)

    return lambda type_name, seed=0: message(type_name, np.random.default_rng(seed))


@pytest.fixture(scope="session")
def eventually():
    """Waits until a condition holds, at most a minute (on a machine that does much else); returns whether it does."""

    def wait(condition):
        end = time.monotonic() + 60
        while not (held := condition()) and time.monotonic() < end:
            time.sleep(0.01)
        return held

    return wait


@pytest.fixture
def overflow():
    """Sends to a socket of this process more than it holds; the sockets stay open until the test ends."""
    if sys.platform != "linux":
        pytest.skip("what a socket loses is read from /proc")
    opened = []

    def send(address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        full, sender = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        opened.extend((full, sender))
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        try:
            full.bind((address, 0))
        except OSError as error:
            pytest.skip(f"no {address} here: {error}")
        for _ in range(20):
            sender.sendto(bytes(10_000), full.getsockname())

    yield send
    for one in opened:
        one.close()
