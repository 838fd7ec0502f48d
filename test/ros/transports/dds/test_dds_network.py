"""Whom a node meets: this machine's nodes, unless the user says otherwise. And large images fit into its sockets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from aue_crl_ros.transports.dds.network import Network, network

URI = "CYCLONEDDS_URI"
RANGE, PEERS, ONLY = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY"


@pytest.mark.parametrize(
    ("asked", "environment", "chosen", "peers"),
    [
        (None, {}, "localhost", ()),
        (None, {RANGE: "", PEERS: "", ONLY: "", URI: ""}, "localhost", ()),
        (None, {URI: "file:///etc/dds.xml"}, "system_default", ()),
        (None, {RANGE: "SUBNET"}, "subnet", ()),
        (None, {RANGE: "SUBNET", PEERS: "10.0.0.1;;robot.local"}, "subnet", ("10.0.0.1", "robot.local")),
        (None, {RANGE: "LOCALHOST", URI: "x"}, "localhost", ()),
        (None, {RANGE: "OFF", PEERS: "10.0.0.1"}, "off", ()),
        (None, {RANGE: "SYSTEM_DEFAULT", PEERS: "10.0.0.1"}, "system_default", ()),
        (None, {RANGE: "subnet"}, "localhost", ()),  # rclpy knows the large letters only
        (None, {PEERS: "10.0.0.1"}, "localhost", ("10.0.0.1",)),
        (None, {PEERS: "10.0.0.1", URI: "x"}, "subnet", ("10.0.0.1",)),
        (None, {ONLY: "1", RANGE: "SUBNET", PEERS: "10.0.0.1"}, "localhost", ()),
        (None, {ONLY: "0"}, "subnet", ()),
        (None, {ONLY: "0", RANGE: "LOCALHOST"}, "localhost", ()),
        ("subnet", {ONLY: "1", RANGE: "OFF", PEERS: "10.0.0.1"}, "subnet", ("10.0.0.1",)),
    ],
)
def test_the_users_word_decides_whom_a_node_meets(asked, environment, chosen, peers):
    decided = network(asked, environment)
    assert (decided.range, decided.peers) == (chosen, peers)


def test_it_says_whom_it_meets_and_who_decided():
    assert str(network(None, {})) == (
        "meets the nodes of this machine, and of others those that name this machine as their peer "
        "(as nothing else was asked for; for the network: discovery subnet)"
    )
    assert str(network(None, {RANGE: "SUBNET", PEERS: "10.0.0.1", URI: "x"})) == (
        "meets all nodes in the networks of this machine and of 10.0.0.1 "
        "(ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET, and CYCLONEDDS_URI beside it)"
    )
    assert "which is none of OFF, LOCALHOST, SUBNET, SYSTEM_DEFAULT" in str(network(None, {RANGE: "subnet"}))


def test_the_variable_is_as_before_afterwards_and_the_users_configuration_counts_last(monkeypatch):
    monkeypatch.delenv(URI, raising=False)
    with Network("localhost", ("a<b",), "").in_force():
        assert '<Peer address="localhost"/><Peer address="a&lt;b"/>' in os.environ[URI]
    assert URI not in os.environ
    monkeypatch.setenv(URI, "<CycloneDDS/>")
    with Network("subnet", (), "").in_force():
        assert os.environ[URI].endswith(",<CycloneDDS/>")
    assert os.environ[URI] == "<CycloneDDS/>"


MACHINES = """
set -e
mount -t tmpfs none /run && mkdir /run/netns
ip netns add far
ip link add here type veth peer name there netns far
ip addr add 10.9.0.1/24 dev here && ip link set here up && ip link set lo up
ip -n far addr add 10.9.0.2/24 dev there && ip -n far link set there up && ip -n far link set lo up
"$@" node robot &
ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET "$@" robot node stranger &
ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET ip netns exec far "$@" stranger robot &
wait
"""
"""Two machines and a wire: the node and a robot's ROS on one, somebody else's on the other."""
MEETING = """
import sys, time
from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import RESULT

name, *expected = sys.argv[1:]
met, rounds = set(), 0
with DdsTransport(name, domain_id=5) as transport:
    transport.subscription("/names", "std_msgs/msg/String", RESULT, lambda message: met.add(message.data))
    said = transport.publisher("/names", "std_msgs/msg/String", RESULT)
    end = time.monotonic() + 60
    while rounds < 40 and time.monotonic() < end:  # two seconds more, for the others, and who should not be met
        said.publish(transport.messages.new("std_msgs/msg/String", data=name))
        time.sleep(0.05)
        rounds += met >= {name, *expected}
sys.stdout.write(" ".join([name, *sorted(met - {name})]) + "\\n")  # at once: the three share a pipe
"""
ALONE = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def two_machines_can_be_had() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*ALONE, "ip", "link", "add", "type", "veth"], capture_output=True).returncode == 0


@pytest.mark.skipif(not two_machines_can_be_had(), reason="needs unshare, ip, and the right to make network namespaces")
def test_a_node_meets_its_machines_robot_and_no_stranger_of_the_network(monkeypatch):
    pytest.importorskip("cyclonedds")
    pytest.importorskip("rosbags")
    for variable in (URI, RANGE, PEERS, ONLY):
        monkeypatch.delenv(variable, raising=False)
    command = [*ALONE, "bash", "-c", MACHINES, "machines", sys.executable, "-c", MEETING]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert sorted(done.stdout.splitlines()) == ["node robot", "robot node stranger", "stranger robot"], done.stderr
