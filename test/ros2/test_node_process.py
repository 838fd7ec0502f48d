"""The node's process: how it ends."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix
from probe import Probe

NODE = Path(get_package_prefix("aue_crl"), "lib", "aue_crl", "expression_node")


@pytest.fixture
def probe():
    probe = Probe("tester")
    yield probe
    probe.close()


@pytest.mark.parametrize("numbers", [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_a_signal_ends_it_and_a_second_one_changes_nothing(probe, numbers):
    process = subprocess.Popen([NODE], stderr=subprocess.PIPE, text=True)
    try:
        probe.wait(lambda: "aue_crl" in probe.node.get_node_names(), "the node", 30)
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.02)
        _, words = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0, words
    assert "Traceback" not in words


def test_parameters_that_cannot_be_are_told_and_end_it():
    command = [NODE, "--ros-args", "-p", "unit_on:=0.2", "-p", "unit_off:=0.4"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "unit_off must be at most unit_on (0.2), got 0.4" in ended.stderr
    assert "Traceback" not in ended.stderr
