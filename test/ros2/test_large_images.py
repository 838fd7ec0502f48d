"""Large images on their way to the node: room for them, and a warning where there is not enough."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from probe import Probe
from rclpy import get_rmw_implementation_identifier
from sensor_msgs.msg import Image

pytestmark = pytest.mark.skipif(
    get_rmw_implementation_identifier() != "rmw_cyclonedds_cpp", reason="a setting of rmw_cyclonedds_cpp"
)
NODE = Path(get_package_prefix("aue_crl"), "lib", "aue_crl", "expression_node")
SMALL = "<CycloneDDS><Domain><Internal><SocketReceiveBufferSize max='100 kB'/></Internal></Domain></CycloneDDS>"
BUFFERS = """
import os, signal, socket, threading, time
from aue_crl_ros.node import main

def sizes():
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as there:
                if there.type == socket.SOCK_DGRAM and there.family in (socket.AF_INET, socket.AF_INET6):
                    yield there.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        except OSError:
            pass

def look():
    while not (found := list(sizes())):
        time.sleep(0.05)
    with socket.socket(type=socket.SOCK_DGRAM) as most:
        most.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        print(max(found), most.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=look).start()
raise SystemExit(main())
"""
"""A node that prints its largest receive buffer, and the most that this kernel gives, and ends itself."""


@pytest.fixture
def environment():
    """The environment with a further Cyclone DDS configuration."""
    own = os.environ.get("CYCLONEDDS_URI", "")
    return lambda further: os.environ | {"CYCLONEDDS_URI": ",".join(filter(None, (own, further)))}


@pytest.fixture
def probe():
    probe = Probe("tester")
    yield probe
    probe.close()


@pytest.mark.parametrize("own", ["", SMALL])
def test_its_buffers_are_the_largest_that_the_kernel_gives_or_the_users_own(environment, own):
    command = [sys.executable, "-c", BUFFERS]
    ended = subprocess.run(command, env=environment(own), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    largest, most = map(int, ended.stdout.split())
    assert largest == (2 * 100 * 1024 if own else most)


def test_images_that_do_not_fit_are_warned_of_with_the_line_to_type(environment, probe):
    command = [NODE, "--ros-args", "-p", "always_subscribe:=true", "-p", "image_topics:=['/large/image']"]
    process = subprocess.Popen(command, env=environment(SMALL), stderr=subprocess.PIPE, text=True)
    try:
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            request = Transition(id=transition)
            assert probe.call(ChangeState, "/aue_crl/change_state", timeout_s=60, transition=request).success
        large = Image(height=1080, width=1920, encoding="rgb8", step=3 * 1920, data=bytes(3 * 1920 * 1080))
        publisher = probe.node.create_publisher(Image, "/large/image", 1)
        diagnostics = probe.collect(DiagnosticArray, "/diagnostics")
        warned = probe.wait(
            lambda: next((s for m in diagnostics.messages for s in m.status if "are lost" in s.message), None),
            "a warning of lost images",
            60,
            each=lambda: publisher.publish(large),
        )
    finally:
        process.terminate()
        _, words = process.communicate(timeout=60)
    assert warned.level == DiagnosticStatus.WARN
    assert "sysctl -w net.core.rmem_max=" in warned.message
    assert words.count("images are lost") == 1
