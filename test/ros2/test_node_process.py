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


def test_a_whole_number_is_taken_for_a_float(probe):
    process = subprocess.Popen([NODE, "--ros-args", "-p", "smoothing_s:=1"], stderr=subprocess.PIPE, text=True)
    try:
        probe.wait(lambda: "aue_crl" in probe.node.get_node_names(), "the node", 60)
    finally:
        process.terminate()
        _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-p", "smoothing_s:=fast"], "smoothing_s must be a number, got 'fast'"),
        (["-p", "max_faces:=0"], "max_faces"),
        (["-p", "image_topics:=['front camera']"], "'front camera'"),
        (["--log-level", "aue_crl:=loud"], "loud"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(arguments, complaint):
    ended = subprocess.run([NODE, "--ros-args", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_launch_argument_that_does_not_exist_is_named():
    command = ["ros2", "launch", "aue_crl", "expression.launch.py", "imagetopic:=/camera", "autostart:=false"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told = next(line for line in process.stdout if "no argument is called" in line)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert "imagetopic (did you mean image_topic?)" in told


def test_parameters_that_cannot_be_are_told_and_end_it():
    command = [NODE, "--ros-args", "-p", "unit_on:=0.2", "-p", "unit_off:=0.4"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "unit_off must be at most unit_on (0.2), got 0.4" in ended.stderr
    assert "Traceback" not in ended.stderr
