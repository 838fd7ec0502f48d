import functools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")

from cyclonedds.idl import IdlStruct, types

from aue_crl_core.errors import ConfigError
from aue_crl_ros.messages.interfaces import typestore
from aue_crl_ros.transports.dds.types import DataTypes, dds_name, join_response, split_request, user_data

STORE = typestore()
TYPES = DataTypes(STORE)
made = functools.cache(lambda type_name: TYPES.message(type_name, "received"))
OURS = sorted(
    name for name in STORE.fielddefs if name.startswith(("aue_crl/msg/", "hri_msgs/msg/", "vision_msgs/msg/"))
)


# The same types as cyclonedds' own code generator would write them.
@dataclass
class Time(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    sec: types.int32
    nanosec: types.uint32


@dataclass
class Header(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Image(IdlStruct, typename="sensor_msgs.msg.dds_.Image_"):
    header: Header
    height: types.uint32
    width: types.uint32
    encoding: str
    is_bigendian: types.uint8
    step: types.uint32
    data: types.sequence[types.uint8]


@dataclass
class IdsList(IdlStruct, typename="hri_msgs.msg.dds_.IdsList_"):
    header: Header
    ids: types.sequence[str]


@dataclass
class Point(IdlStruct, typename="hri_msgs.msg.dds_.NormalizedPointOfInterest2D_"):
    x: types.float32
    y: types.float32
    c: types.float32


@dataclass
class FacialLandmarks(IdlStruct, typename="hri_msgs.msg.dds_.FacialLandmarks_"):
    header: Header
    landmarks: types.array[Point, 70]
    height: types.uint32
    width: types.uint32


@dataclass
class FacialActionUnits(IdlStruct, typename="hri_msgs.msg.dds_.FacialActionUnits_"):
    header: Header
    intensity: types.array[types.float32, 99]
    confidence: types.array[types.float32, 99]


@dataclass
class Empty(IdlStruct, typename="std_msgs.msg.dds_.Empty_"):
    structure_needs_at_least_one_member: types.uint8


WRITTEN_OUT = {
    "sensor_msgs/msg/Image": Image,
    "hri_msgs/msg/IdsList": IdsList,
    "hri_msgs/msg/FacialLandmarks": FacialLandmarks,
    "hri_msgs/msg/FacialActionUnits": FacialActionUnits,
    "std_msgs/msg/Empty": Empty,
}


def plain(value):
    """`value` of either library as nested lists and dicts."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__ if name != "__msgtype__"}
    return value


@pytest.mark.parametrize(
    ("type_name", "on_the_wire"),
    [
        ("std_msgs/msg/String", "std_msgs::msg::dds_::String_"),
        ("aue_crl/msg/FaceExpressionArray", "aue_crl::msg::dds_::FaceExpressionArray_"),
        ("aue_crl/srv/ForgetNeutral_Request", "aue_crl::srv::dds_::ForgetNeutral_Request_"),
    ],
)
def test_a_type_is_named_as_rosidl_names_it(type_name, on_the_wire):
    assert dds_name(type_name) == on_the_wire
    assert made(type_name).__idl__.idl_transformed_typename == on_the_wire


@pytest.mark.parametrize("type_name", WRITTEN_OUT)
def test_the_type_information_is_that_of_the_type_written_out(type_name):
    assert made(type_name).__idl__.get_type_id() == WRITTEN_OUT[type_name].__idl__.get_type_id()


def test_a_bounded_string_keeps_its_bound():
    entities = made("rmw_dds_common/msg/NodeEntitiesInfo")
    assert entities.__annotations__["node_name"] == types.bounded_str[256]


@pytest.mark.parametrize("type_name", WRITTEN_OUT)
@given(seed=st.integers(0, 2**32))
def test_the_bytes_are_read_by_cyclonedds_own_code_and_read_back(filled, type_name, seed):
    message = filled(type_name, seed)
    sample = made(type_name)(bytes(STORE.serialize_cdr(message, type_name)))
    other = WRITTEN_OUT[type_name].deserialize(sample.serialize())
    assert plain(other) == plain(message)
    back = made(type_name).deserialize(other.serialize())
    assert plain(STORE.deserialize_cdr(back.data, type_name)) == plain(message)


@pytest.mark.parametrize("type_name", OURS)
def test_every_type_of_ours_is_final_keyless_and_xcdr1(type_name):
    idl = made(type_name).__idl__
    idl.fill_type_data()
    assert idl.keyless
    assert idl.default_version == 1
    assert idl.xcdrv2_head == 0x06


@pytest.mark.parametrize(
    ("type_name", "digest"),
    [
        ("sensor_msgs/msg/Image", "d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47"),
        ("std_msgs/msg/String", "df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"),
    ],
)
def test_the_announced_hash_is_that_of_the_distribution(type_name, digest):
    assert user_data(STORE, type_name) == f"typehash=RIHS01_{digest};".encode()


def test_every_topic_gets_a_type_of_its_own():
    first, second = (TYPES.message("sensor_msgs/msg/Image", "received") for _ in range(2))
    assert first is not second
    assert first.__idl__.get_type_id() == second.__idl__.get_type_id()
    assert first.__idl__.get_type_id() != made("sensor_msgs/msg/CompressedImage").__idl__.get_type_id()


def test_topics_that_are_only_written_share_a_type_where_there_are_many():
    types = DataTypes(STORE)
    written = [types.message("sensor_msgs/msg/Image", "written") for _ in range(40)]
    assert len(set(written)) == 11
    for one in written:
        types.release("sensor_msgs/msg/Image", "written", one)
    assert types.message("sensor_msgs/msg/Image", "written") is not written[-1]


def test_more_topics_of_a_type_than_can_be_received_are_refused():
    types = DataTypes(STORE)
    received = [types.message("sensor_msgs/msg/Image", "received") for _ in range(20)]
    with pytest.raises(ConfigError, match=r"at most 20 topics of sensor_msgs/msg/Image can be listened to at a time"):
        types.message("sensor_msgs/msg/Image", "received")
    types.release("sensor_msgs/msg/Image", "received", received[0])
    assert types.message("sensor_msgs/msg/Image", "received") is received[0]


@given(client=st.integers(0, 2**64 - 1), sequence=st.integers(-(2**63), 2**63 - 1), seed=st.integers(0, 99))
@pytest.mark.parametrize("little", [True, False])
def test_a_request_header_goes_before_the_message_and_comes_off_again(filled, little, client, sequence, seed):
    name = "aue_crl/srv/CalibrateNeutral_Request"
    data = bytes(STORE.serialize_cdr(filled(name, seed), name, little_endian=little))
    joined = join_response((client, sequence), data)
    assert joined[4:12] == client.to_bytes(8, "little" if little else "big")
    assert split_request(joined) == ((client, sequence), data)
