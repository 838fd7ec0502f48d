from dataclasses import dataclass

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsParticipant
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct, types
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from aue_crl_ros.transports.dds.graph import NodeGraph
from aue_crl_ros.transports.transport import RESULT, SENSOR

TEXT = "std_msgs/msg/String"


@dataclass
class Gid(IdlStruct, typename="rmw_dds_common.msg.dds_.Gid_"):
    data: types.array[types.uint8, 16]


@dataclass
class NodeEntitiesInfo(IdlStruct, typename="rmw_dds_common.msg.dds_.NodeEntitiesInfo_"):
    node_namespace: types.bounded_str[256]
    node_name: types.bounded_str[256]
    reader_gid_seq: types.sequence[Gid]
    writer_gid_seq: types.sequence[Gid]


@dataclass
class ParticipantEntitiesInfo(IdlStruct, typename="rmw_dds_common.msg.dds_.ParticipantEntitiesInfo_"):
    gid: Gid
    node_entities_info_seq: types.sequence[NodeEntitiesInfo]


@dataclass
class Gid24(IdlStruct, typename="rmw_dds_common.msg.dds_.Gid_"):
    data: types.array[types.uint8, 24]


@dataclass
class NodeEntitiesInfo24(IdlStruct, typename="rmw_dds_common.msg.dds_.NodeEntitiesInfo_"):
    node_namespace: types.bounded_str[256]
    node_name: types.bounded_str[256]
    reader_gid_seq: types.sequence[Gid24]
    writer_gid_seq: types.sequence[Gid24]


@dataclass
class ParticipantEntitiesInfo24(IdlStruct, typename="rmw_dds_common.msg.dds_.ParticipantEntitiesInfo_"):
    gid: Gid24
    node_entities_info_seq: types.sequence[NodeEntitiesInfo24]


@pytest.fixture
def listen(node, domain):
    """Listens to the graph as rmw does; the readers are gone before the nodes."""
    held = []

    def make(data_type=ParticipantEntitiesInfo):
        held.append(graph_reader(DomainParticipant(domain), data_type))
        return held[-1].take

    yield make
    del held[:]


@pytest.fixture
def bare(domain):
    """A participant with a `NodeGraph` and nothing else."""
    held = [DomainParticipant(domain)]

    def make(**options):
        held.insert(0, NodeGraph(held[-1], "/", "face", **options))
        return held[-1].guid.bytes

    yield make
    while held:
        del held[0]


def graph_reader(participant, data_type):
    qos = Qos(
        Policy.Reliability.Reliable(0),
        Policy.Durability.TransientLocal,
        Policy.History.KeepAll,
        Policy.DataRepresentation(use_cdrv0_representation=True),
    )
    return DataReader(participant, Topic(participant, "ros_discovery_info", data_type), qos)


def last(take, gid, eventually, condition=lambda info: True):
    """The newest entry of the participant `gid` once it meets `condition`."""
    found = []

    def seen():
        found.extend(sample for sample in take(64) if hasattr(sample, "gid"))
        mine = [sample for sample in found if bytes(sample.gid.data)[:16] == gid]
        return bool(mine) and condition(mine[-1].node_entities_info_seq[0]) and mine[-1]

    return eventually(seen)


def gids(sequence):
    return {bytes(gid.data) for gid in sequence}


def test_a_late_joiner_learns_which_node_owns_which_endpoint(node, listen, eventually):
    transport = node("face", "/robot")
    publisher = transport.publisher("~/text", TEXT, RESULT)
    subscription = transport.subscription("image", TEXT, SENSOR, print)
    info = last(listen(), transport.participant.guid.bytes, eventually).node_entities_info_seq
    assert [(one.node_namespace, one.node_name) for one in info] == [("/robot", "face")]
    assert gids(info[0].writer_gid_seq) == {publisher.entity.guid.bytes}
    assert gids(info[0].reader_gid_seq) == {subscription.entity.guid.bytes}


def test_endpoints_that_close_leave_the_graph(node, listen, eventually):
    transport = node("face")
    take = listen()
    publisher = transport.publisher("text", TEXT, RESULT)
    subscription = transport.subscription("image", TEXT, SENSOR, print)
    gid = transport.participant.guid.bytes
    assert last(take, gid, eventually, lambda info: len(info.writer_gid_seq) == len(info.reader_gid_seq) == 1)
    publisher.close()
    assert last(take, gid, eventually, lambda info: not info.writer_gid_seq and len(info.reader_gid_seq) == 1)
    subscription.close()
    assert last(take, gid, eventually, lambda info: not info.writer_gid_seq and not info.reader_gid_seq)


def test_both_ends_of_a_service_belong_to_the_node(node, listen, eventually):
    transport = node("face")
    transport.service("~/forget", "aue_crl/srv/ForgetNeutral", lambda request: None)
    info = last(listen(), transport.participant.guid.bytes, eventually).node_entities_info_seq[0]
    assert (len(info.reader_gid_seq), len(info.writer_gid_seq)) == (1, 1)


def test_humble_gets_gids_of_24_bytes(bare, listen, eventually):
    take = listen(ParticipantEntitiesInfo24)
    guid = bare(gid_size=24)
    info = last(take, guid, eventually)
    assert bytes(info.gid.data) == guid + bytes(8)
    assert info.node_entities_info_seq[0].node_name == "face"


def test_the_size_of_gids_follows_the_distribution(bare, listen, monkeypatch, eventually):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    take = listen(ParticipantEntitiesInfo24)
    assert last(take, bare(), eventually)


def test_the_participant_names_its_enclave(node, domain, eventually):
    transport = node("face")
    gid = transport.participant.guid
    observer = DomainParticipant(domain)
    reader = BuiltinDataReader(observer, BuiltinTopicDcpsParticipant)

    def announced():
        return [s.qos[Policy.Userdata].data for s in reader.read(64) if s.key == gid]

    assert eventually(announced) == [b"enclave=/;"]
