"""rclpy's messages from the values that both middlewares share."""

import array
from pathlib import Path

import numpy as np
import pytest

from aue_crl_ros.transports import ros
from aue_crl_ros.transports.ros import RosMessages, profile
from aue_crl_ros.transports.transport import LATCHED, RESULT, SENSOR


def test_a_numpy_array_becomes_an_unbounded_sequence():
    message = RosMessages().new("sensor_msgs/msg/CompressedImage", data=np.arange(5, dtype=np.uint8))
    assert message.data == array.array("B", [0, 1, 2, 3, 4])


def test_floats_keep_their_values():
    message = RosMessages().new("aue_crl/msg/FaceExpression", landmarks=np.array([1.5, -2.25], np.float32))
    assert list(message.landmarks) == [1.5, -2.25]


def test_an_empty_array_is_an_empty_sequence():
    assert list(RosMessages().new("aue_crl/msg/FaceExpression", landmarks=np.zeros(0, np.float32)).landmarks) == []


def test_a_fixed_array_takes_numpy_as_it_is():
    hri = pytest.importorskip("hri_msgs.msg")
    values = np.linspace(0, 1, 99, dtype=np.float32)
    message = RosMessages().new("hri_msgs/msg/FacialActionUnits", intensity=values)
    np.testing.assert_array_equal(message.intensity[hri.FacialActionUnits.LIP_CORNER_PULLER], values[12])


def test_an_octet_is_a_byte():
    assert RosMessages().new("diagnostic_msgs/msg/DiagnosticStatus", level=2).level == b"\x02"


def test_an_unknown_field_is_refused():
    with pytest.raises(KeyError, match="nonsense"):
        RosMessages().new("std_msgs/msg/Header", nonsense=1)


@pytest.mark.parametrize(
    ("qos", "reliability", "durability", "depth"),
    [
        (SENSOR, "BEST_EFFORT", "VOLATILE", 1),
        (RESULT, "RELIABLE", "VOLATILE", 10),
        (LATCHED, "RELIABLE", "TRANSIENT_LOCAL", 1),
    ],
)
def test_qos_profiles(qos, reliability, durability, depth):
    made = profile(qos)
    assert (made.reliability.name, made.durability.name, made.depth) == (reliability, durability, depth)


@pytest.mark.parametrize(("rmw", "usual_too"), [("rmw_cyclonedds_cpp", False), ("rmw_fastrtps_cpp", True)])
def test_buffers_that_are_not_asked_for_need_the_usual_size_raised_too(monkeypatch, rmw, usual_too):
    monkeypatch.setattr(ros, "get_rmw_implementation_identifier", lambda: rmw)
    remedy = ros.RosTransport(None).buffer_remedy
    assert remedy.startswith("sudo sysctl -w net.core.rmem_max=")
    assert ("net.core.rmem_default=" in remedy) is usual_too


def test_images_that_fast_dds_loses_are_the_senders_to_save(monkeypatch):
    monkeypatch.setattr(ros, "get_rmw_implementation_identifier", lambda: "rmw_fastrtps_cpp")
    variable, _, file = ros.RosTransport(None).image_remedy.rpartition(" ")[2].partition("=")
    assert variable == "FASTRTPS_DEFAULT_PROFILES_FILE"
    assert "<segment_size>67108864</segment_size>" in Path(file).read_text()
