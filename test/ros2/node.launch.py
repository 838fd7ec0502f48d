"""The lifecycle node as a robot starts it: the shipped launch file, real rclpy on both sides.

Tests run in the order of their names, on one node.
"""

import json
import os
import re
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import launch_testing
import launch_testing.actions
import launch_testing.asserts
import pytest
from ament_index_python.packages import get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from aue_crl.msg import ExpressionEvent, FaceExpression, FaceExpressionArray, ModelDescription
from aue_crl.srv import CalibrateNeutral, ForgetNeutral
from aue_crl_ros.messages.image_decoding import ENCODINGS
from aue_crl_ros.transports.ros import HAS_MATCHED_EVENTS

sys.path.insert(0, str(Path(__file__).parent))
from probe import Collected, Probe

NODE = "/robot/aue_crl"
TOPIC = "/camera/image_raw"
UNITS = [1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 20, 23, 24, 25, 26]
TESTED_ENCODINGS = [
    "rgb8",
    "bgr8",
    "rgba8",
    "bgra8",
    "mono8",
    "mono16",
    "bayer_rggb8",
    "bayer_bggr8",
    "bayer_gbrg8",
    "bayer_grbg8",
    "yuv422",
    "yuv422_yuy2",
]


def generate_test_description():
    launch_file = Path(get_package_share_directory("aue_crl"), "launch", "expression.launch.py")
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(launch_file)),
        launch_arguments={"image_topic": TOPIC, "namespace": "robot", "autostart": "false"}.items(),
    )
    return LaunchDescription(
        [SetEnvironmentVariable("OMP_NUM_THREADS", "1"), node, launch_testing.actions.ReadyToTest()]
    )


class TestNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = Probe("tester")
        cls.publisher = cls.probe.node.create_publisher(Image, TOPIC, 1)

    @classmethod
    def tearDownClass(cls):
        cls.probe.close()

    def change(self, transition):
        answer = self.probe.call(
            ChangeState, f"{NODE}/change_state", transition=Transition(id=transition), timeout_s=30
        )
        return answer.success

    def state(self):
        return self.probe.call(GetState, f"{NODE}/get_state").current_state.id

    def set(self, name, **value):
        parameter = Parameter(name=name, value=ParameterValue(**value))
        return self.probe.call(SetParameters, f"{NODE}/set_parameters", parameters=[parameter]).results[0]

    def set_string(self, name, value):
        return self.set(name, type=ParameterType.PARAMETER_STRING, string_value=value)

    def set_bool(self, name, value):
        return self.set(name, type=ParameterType.PARAMETER_BOOL, bool_value=value)

    def subscriptions(self, topic=TOPIC):
        return self.probe.node.count_subscribers(topic)

    def publish(self, encoding="rgb8"):
        self.publisher.publish(self.probe.image(encoding))

    def face(self, results: Collected, encoding="rgb8", after=0):
        """The first message with a face beyond the first `after` messages, images being published."""

        def found():
            return next((m for m in results.messages[after:] if m.faces), None)

        return self.probe.wait(found, f"a face in {encoding}", each=lambda: self.publish(encoding))

    def shell(self, *command):
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            check=False,
        )

    def test_01_begins_unconfigured_and_listens_to_nothing(self):
        assert self.state() == State.PRIMARY_STATE_UNCONFIGURED
        assert self.subscriptions() == 0

    def test_02_weights_that_do_not_exist_leave_it_unconfigured(self):
        assert self.set_string("weights", "/nowhere/x.onnx").successful
        assert not self.change(Transition.TRANSITION_CONFIGURE)
        assert self.state() == State.PRIMARY_STATE_UNCONFIGURED
        assert self.set_string("weights", "edge").successful

    def test_02_a_transition_that_the_state_does_not_have_is_refused(self):
        assert not self.change(Transition.TRANSITION_ACTIVATE)
        assert not self.change(99)
        assert self.state() == State.PRIMARY_STATE_UNCONFIGURED

    def test_03_configured_it_describes_its_model_to_late_joiners(self):
        assert self.change(Transition.TRANSITION_CONFIGURE)
        assert self.state() == State.PRIMARY_STATE_INACTIVE
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        model = Collected(self.probe, ModelDescription, f"{NODE}/model", qos)
        self.probe.wait(lambda: model.messages, "the model's description")
        description = model.messages[0]
        assert list(description.action_units) == UNITS
        assert len(description.expressions) == 7
        assert re.search("^[0-9a-f]{64}$", description.weights_sha256)
        assert (description.engine, description.device) == ("onnx", "cpu")
        model.close()

    def test_04_inactive_it_takes_no_image_even_when_somebody_listens(self):
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        self.probe.quiet(1.0)
        assert self.subscriptions() == 0
        results.close()

    def test_05_active_it_subscribes_only_while_somebody_listens(self):
        assert self.change(Transition.TRANSITION_ACTIVATE)
        self.probe.quiet(1.0)
        assert self.subscriptions() == 0
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        self.probe.wait(lambda: self.subscriptions() == 1, "the image subscription")
        results.close()
        self.probe.wait(lambda: self.subscriptions() == 0, "the end of the image subscription")

    def test_06_a_face_is_read_and_the_header_is_the_images(self):
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        message = self.face(results)
        assert message.header.frame_id == "camera"
        assert message.camera == TOPIC
        assert (message.image_width, message.image_height) == (640, 480)
        assert message.latency > 0.0
        assert message.latency < 5.0
        (face,) = message.faces
        assert face.header == message.header
        assert re.search("^[a-z][0-9]+$", face.face_id)
        assert face.expression in ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
        assert sum(face.probabilities) == pytest.approx(1.0, abs=1e-4)
        assert max(face.probabilities) == pytest.approx(face.confidence, abs=1e-5)
        assert [unit.code for unit in face.action_units] == UNITS
        assert all(0 <= unit.probability <= 1 and unit.estimated for unit in face.action_units)
        assert len(face.landmarks) == 136
        box = face.box
        assert 220 < box.x_offset + box.width / 2 < 420, box
        assert 60 < box.width < 300, box
        assert face.state == FaceExpression.OK
        results.close()

    def test_07_every_encoding_shows_the_same_face(self):
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        centres = {}
        for encoding in TESTED_ENCODINGS:
            assert encoding in ENCODINGS
            before = len(results.messages)
            box = self.face(results, encoding, before + 2).faces[0].box
            centres[encoding] = (box.x_offset + box.width / 2, box.y_offset + box.height / 2)
        for encoding, (x, y) in centres.items():
            assert abs(x - centres["rgb8"][0]) < 12, encoding
            assert abs(y - centres["rgb8"][1]) < 12, encoding
        results.close()

    def test_08_an_image_of_unknown_encoding_or_short_data_does_no_harm(self):
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        self.probe.wait(lambda: self.subscriptions() == 1, "the image subscription")
        bad = self.probe.image()
        bad.encoding = "no_such_encoding"
        short = self.probe.image()
        short.data = short.data[:1000]
        for message in (bad, short):
            self.publisher.publish(message)
            self.probe.quiet(0.5)
        before = len(results.messages)
        assert self.face(results, after=before).faces
        results.close()

    def test_09_both_reliabilities_match_on_both_sides(self):
        for reliable_images in (True, False):
            reliability = ReliabilityPolicy.RELIABLE if reliable_images else ReliabilityPolicy.BEST_EFFORT
            publisher = self.probe.node.create_publisher(Image, TOPIC, QoSProfile(depth=1, reliability=reliability))
            for reliable_results in (True, False):
                results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions", reliable=reliable_results)
                self.probe.wait(
                    lambda results=results: results.messages,
                    f"a result with images reliable {reliable_images}, results reliable {reliable_results}",
                    each=lambda publisher=publisher: publisher.publish(self.probe.image()),
                )
                results.close()
            self.probe.node.destroy_publisher(publisher)

    def test_10_parameters_change_live_and_are_checked(self):
        assert self.set("max_faces", type=ParameterType.PARAMETER_INTEGER, integer_value=1).successful
        refused = self.set("max_faces", type=ParameterType.PARAMETER_INTEGER, integer_value=0)
        assert not refused.successful
        values = self.probe.call(GetParameters, f"{NODE}/get_parameters", names=["max_faces"]).values
        assert values[0].integer_value == 1
        refused = self.set("unit_off", type=ParameterType.PARAMETER_DOUBLE, double_value=0.9)
        assert not refused.successful
        assert "unit_on" in refused.reason
        refused = self.set_string("weights", "other")
        assert not refused.successful
        assert "unconfigured" in refused.reason
        descriptor = self.probe.call(
            DescribeParameters, f"{NODE}/describe_parameters", names=["detect_every"]
        ).descriptors[0]
        assert descriptor.integer_range[0].from_value == 1
        assert descriptor.description

    def test_11_the_debug_image_is_offered_only_when_asked_for_and_never_under_privacy(self):
        topic = f"{NODE}/debug_image/compressed"
        assert self.probe.node.count_publishers(topic) == 0
        assert self.set_bool("debug_image", True).successful
        pictures = self.probe.collect(CompressedImage, topic)
        self.probe.wait(lambda: pictures.messages, "a debug image", each=self.publish)
        assert bytes(pictures.messages[0].data).startswith(b"\xff\xd8")
        assert pictures.messages[0].header.frame_id == "camera"
        assert self.set_bool("privacy", True).successful
        self.probe.wait(lambda: self.probe.node.count_publishers(topic) == 0, "the debug image's withdrawal")
        pictures.close()
        assert self.set_bool("privacy", False).successful
        assert self.set_bool("debug_image", False).successful

    def test_12_events_tell_when_an_expression_begins(self):
        assert self.change(Transition.TRANSITION_DEACTIVATE)
        assert self.change(Transition.TRANSITION_ACTIVATE)
        events = self.probe.collect(ExpressionEvent, f"{NODE}/events")
        self.probe.wait(
            lambda: [e for e in events.messages if e.kind == ExpressionEvent.EXPRESSION],
            "an expression's beginning",
            each=self.publish,
        )
        first = next(e for e in events.messages if e.kind == ExpressionEvent.EXPRESSION)
        assert first.phase == ExpressionEvent.BEGAN
        assert first.expression
        assert (first.began.sec, first.began.nanosec) <= (first.header.stamp.sec, first.header.stamp.nanosec)
        events.close()

    def test_13_a_neutral_face_is_learned_and_forgotten(self):
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        face_id = self.face(results).faces[0].face_id
        timer = self.probe.node.create_timer(0.1, self.publish)
        answer = self.probe.call(CalibrateNeutral, f"{NODE}/calibrate_neutral", face_id="", duration=0.5)
        assert answer.success, answer.message
        assert answer.face_id == face_id
        assert answer.frames > 1
        self.probe.wait(lambda: results.messages[-1].faces and results.messages[-1].faces[0].calibrated, "its use")
        unknown = self.probe.call(CalibrateNeutral, f"{NODE}/calibrate_neutral", face_id="nobody", duration=0.2)
        assert not unknown.success
        assert "nobody" in unknown.message
        assert self.probe.call(ForgetNeutral, f"{NODE}/forget_neutral", face_id=face_id).success
        assert not self.probe.call(ForgetNeutral, f"{NODE}/forget_neutral", face_id=face_id).success
        self.probe.node.destroy_timer(timer)
        results.close()

    def test_14_diagnostics_come_in_every_state(self):
        diagnostics = self.probe.collect(DiagnosticArray, "/diagnostics")
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")

        def latest():
            values = {
                v.key: v.value for s in (diagnostics.messages or [DiagnosticArray()])[-1].status for v in s.values
            }
            return values if float(values.get("output rate", "0").split()[0]) > 0 else None

        values = self.probe.wait(latest, "a diagnosis with an output rate", each=self.publish)
        for key in ("latency p50", "latency p95", "dropped", "faces", "device", "engine"):
            assert key in values
        self.probe.wait(
            lambda: any(s.level == DiagnosticStatus.WARN for s in diagnostics.messages[-1].status),
            "the warning of a stale input",
        )
        results.close()
        diagnostics.close()

    def test_15_the_shell_sees_it(self):
        lifecycle = self.shell("ros2", "lifecycle", "get", NODE)
        assert "active" in lifecycle.stdout, lifecycle.stderr
        parameter = self.shell("ros2", "param", "get", NODE, "detect_every")
        assert "5" in parameter.stdout, parameter.stderr
        assert "image_transport" in self.shell("ros2", "param", "list", NODE).stdout
        command = ("ros2", "topic", "echo", "--once", f"{NODE}/expressions")
        echo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.probe.wait(lambda: echo.poll() is not None, "ros2 topic echo", 60, each=self.publish)
        output, errors = echo.communicate()
        assert "latency:" in output, errors
        assert "frame_id: camera" in output

    def test_16_compressed_images_by_one_parameter_of_the_unconfigured_state(self):
        assert not self.set_string("image_transport", "compressed").successful
        assert self.change(Transition.TRANSITION_DEACTIVATE)
        assert self.change(Transition.TRANSITION_CLEANUP)
        assert self.set_string("image_transport", "compressed").successful
        assert self.change(Transition.TRANSITION_CONFIGURE)
        assert self.change(Transition.TRANSITION_ACTIVATE)
        publisher = self.probe.node.create_publisher(CompressedImage, f"{TOPIC}/compressed", 1)
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        message = self.probe.wait(
            lambda: next((m for m in results.messages if m.faces), None),
            "a face in a compressed image",
            each=lambda: publisher.publish(self.probe.compressed_image()),
        )
        assert message.camera == f"{TOPIC}/compressed"
        results.close()

    def test_17_a_subscriber_that_cannot_match_is_named_with_the_remedy(self, proc_output):
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        results = Collected(self.probe, FaceExpressionArray, f"{NODE}/expressions", latched)
        self.probe.quiet(1.0)
        proc_output.assertWaitFor(f"a subscriber of {NODE}/expressions has an incompatible DURABILITY", timeout=15)
        results.close()

    def test_18_matched_events_are_used_where_the_distribution_has_them(self):
        distribution = os.environ.get("ROS_DISTRO", "")
        assert (distribution != "humble") == HAS_MATCHED_EVENTS

    def test_19_the_live_view_is_there_from_configure_to_cleanup_and_who_looks_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        address, topic = f"http://127.0.0.1:{port}/", f"{TOPIC}/compressed"
        assert self.change(Transition.TRANSITION_DEACTIVATE)
        assert self.change(Transition.TRANSITION_CLEANUP)
        assert self.set_bool("view", True).successful
        assert self.set("view_port", type=ParameterType.PARAMETER_INTEGER, integer_value=port).successful
        assert self.change(Transition.TRANSITION_CONFIGURE)
        assert self.change(Transition.TRANSITION_ACTIVATE)
        publisher = self.probe.node.create_publisher(CompressedImage, topic, 1)
        with urllib.request.urlopen(f"{address}readings", timeout=15) as told:
            self.probe.wait(lambda: self.subscriptions(topic) == 1, "the image subscription")
            for _ in range(5):
                publisher.publish(self.probe.compressed_image())
                self.probe.quiet(0.2)
            line = next(line for line in told if line.startswith(b"data: "))
            assert [face["state"] for face in json.loads(line[6:])["faces"]] == ["ok"]
        assert self.change(Transition.TRANSITION_DEACTIVATE)
        assert self.change(Transition.TRANSITION_CLEANUP)
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(address, timeout=15)


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_it_ended_cleanly(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info, allowable_exit_codes=[0])
