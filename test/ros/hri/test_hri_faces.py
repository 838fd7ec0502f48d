"""Faces that another detector published as ROS4HRI images, as input."""

from __future__ import annotations

import types

import numpy as np
import pytest
from memory_transport import SECOND, START_NS, MemoryTransport

from aue_crl_core.errors import ConfigError
from aue_crl_ros.hri.faces import HriFaces
from aue_crl_ros.parameters.declarations import Settings

pytest.importorskip("rosbags")


@pytest.fixture
def transport():
    return MemoryTransport()


@pytest.fixture
def frames():
    return []


@pytest.fixture
def faces(transport, frames):
    return HriFaces(transport, Settings(hri=True, face_source="cropped", stale_after_s=2.0), frames.append)


def ids_message(transport, *ids):
    return transport.messages.new("hri_msgs/msg/IdsList", header=transport.header(), ids=list(ids))


def crop_message(transport, stamp_ns=START_NS, value=7):
    return transport.messages.new(
        "sensor_msgs/msg/Image",
        header=transport.header(stamp_ns),
        height=128,
        width=128,
        encoding="bgr8",
        is_bigendian=0,
        step=384,
        data=np.full(3 * 128 * 128, value, np.uint8),
    )


@pytest.mark.parametrize("source", ["cropped", "aligned"])
def test_listed_faces_are_followed_and_unlisted_ones_are_not_any_more(transport, source):
    HriFaces(transport, Settings(hri=True, face_source=source), lambda frame: None)
    assert transport.followed() == {"tracked"}
    transport.receive("tracked", ids_message(transport, "abc", "xyz"))
    assert transport.followed() == {"tracked", f"abc/{source}", f"xyz/{source}"}
    transport.receive("tracked", ids_message(transport, "xyz"))
    assert transport.followed() == {"tracked", f"xyz/{source}"}
    transport.receive("tracked", ids_message(transport, "xyz", "xyz"))
    assert len(transport.subscribed) == 3


@pytest.mark.usefixtures("faces")
def test_a_crop_becomes_a_frame_of_its_face(transport, frames):
    transport.receive("tracked", ids_message(transport, "abc", "xyz"))
    transport.receive("xyz/cropped", crop_message(transport))
    (frame,) = frames
    assert (frame.camera, frame.face_id, frame.stamp_ns) == ("/humans/faces", "xyz", START_NS)
    assert frame.header == transport.header()
    assert frame.image().shape == (128, 128, 3)
    assert (frame.image() == 7).all()


@pytest.mark.usefixtures("faces")
def test_stale_crops_are_left_out_and_told_of_once(transport, frames):
    transport.receive("tracked", ids_message(transport, "abc"))
    transport.time_ns = START_NS + 5 * SECOND
    for _ in range(3):
        transport.receive("abc/cropped", crop_message(transport, START_NS))
    assert not frames
    ((level, text),) = transport.logged
    assert level == "warn"
    assert all(word in text for word in ("abc", "2 s", "5.0 s"))
    transport.receive("abc/cropped", crop_message(transport, START_NS + 4 * SECOND))
    transport.receive("abc/cropped", crop_message(transport, stamp_ns=0))  # no stamp: nothing to judge by
    assert len(frames) == 2
    transport.receive("abc/cropped", crop_message(transport, START_NS))
    assert (len(frames), len(transport.logged)) == (2, 2)


@pytest.mark.usefixtures("faces")
def test_ids_that_cannot_be_part_of_a_topics_name_are_refused_and_told_of_once(transport):
    for _ in range(2):
        transport.receive("tracked", ids_message(transport, "23bd5", "a/../b", "", "~x", "é", "a b", "ok_1", "x" * 101))
    assert transport.followed() == {"tracked", "ok_1/cropped"}
    ((level, text),) = transport.logged
    assert level == "warn"
    assert all(word in text for word in ("23bd5", "a/../b", "''", "~x", "é", "a b"))


@pytest.mark.usefixtures("faces")
def test_no_more_faces_are_followed_than_can_be_looked_at(transport):
    transport.receive("tracked", ids_message(transport, *[f"a{i}" for i in range(100)]))
    assert len(transport.followed()) == 1 + 64
    assert len(transport.logged) == 1


def test_closing_stops_everything_and_late_messages_do_nothing(transport, frames, faces):
    transport.receive("tracked", ids_message(transport, "abc"))
    tracked, crop = transport.subscribed
    faces.close()
    assert transport.followed() == set()
    tracked.callback(ids_message(transport, "abc", "new"))
    crop.callback(crop_message(transport))
    assert transport.subscribed == [tracked, crop]
    assert not frames


def test_a_face_that_is_followed_while_the_node_closes_is_let_go(transport, frames):
    faces = HriFaces(transport, Settings(hri=True, face_source="cropped"), frames.append)
    subscribe = transport.subscription

    def closing(self, topic, *rest):
        faces.close()
        return subscribe(topic, *rest)

    transport.subscription = types.MethodType(closing, transport)
    transport.receive("tracked", ids_message(transport, "abc"))
    assert len(transport.subscribed) == 2
    assert transport.followed() == set()


def test_faces_of_another_node_need_a_source_that_has_them(transport):
    with pytest.raises(ConfigError, match="face_source must be cropped or aligned, got 'camera'"):
        HriFaces(transport, Settings(), lambda frame: None)
