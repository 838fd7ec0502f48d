"""A robot's ROS 2 listens to the node on plain DDS, and feeds it."""

import subprocess
import sys
import unittest
from importlib.util import find_spec
from pathlib import Path

import launch_testing
import launch_testing.actions
import launch_testing.asserts
from diagnostic_msgs.msg import DiagnosticArray
from launch import LaunchDescription
from launch.actions import ExecuteProcess, SetEnvironmentVariable
from rclpy import get_rmw_implementation_identifier
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from aue_crl.msg import FaceExpressionArray, ModelDescription
from aue_crl.srv import CalibrateNeutral, ForgetNeutral

sys.path.insert(0, str(Path(__file__).parent))
from probe import Collected, Probe

TOPIC = "/camera/image_raw"
HAS_DDS = all(find_spec(name) is not None for name in ("cyclonedds", "rosbags", "typer"))
REASON = "cyclonedds, rosbags or typer is not installed: pip install 'aue-crl[dds]'"


def dds_node(*arguments):
    command = [sys.executable, "-m", "aue_crl_core", "node", "--image-topic", TOPIC, *arguments]
    return ExecuteProcess(cmd=command, output="screen", name="dds_node")


def generate_test_description():
    nodes = [dds_node(), dds_node("--compressed", "--namespace", "/second")] if HAS_DDS else []
    actions = [SetEnvironmentVariable("OMP_NUM_THREADS", "1"), *nodes, launch_testing.actions.ReadyToTest()]
    # Without a process launch would end at once: something to wait for where there is no DDS.
    idle = [] if HAS_DDS else [ExecuteProcess(cmd=[sys.executable, "-c", "import time; time.sleep(5)"])]
    return LaunchDescription([*idle, *actions])


@unittest.skipUnless(HAS_DDS, REASON)
class TestDdsNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = Probe("dds_tester")
        cls.images = cls.probe.node.create_publisher(Image, TOPIC, 1)
        cls.compressed = cls.probe.node.create_publisher(CompressedImage, f"{TOPIC}/compressed", 1)

    @classmethod
    def tearDownClass(cls):
        cls.probe.close()

    def first_face(self, topic, publish, reliable=True):
        results = self.probe.collect(FaceExpressionArray, topic, reliable=reliable)
        found = self.probe.wait(lambda: next((m for m in results.messages if m.faces), None), topic, 40, each=publish)
        results.close()
        return found

    def test_1_rclpy_reads_what_the_dds_node_says_of_a_raw_image(self):
        message = self.first_face("/aue_crl/expressions", lambda: self.images.publish(self.probe.image()))
        assert message.camera == TOPIC
        assert message.header.frame_id == "camera"
        assert 0 < message.latency < 5
        (face,) = message.faces
        assert len(face.probabilities) == 7
        assert len(face.action_units) == 17
        assert 220 < face.box.x_offset + face.box.width / 2 < 420

    def test_2_of_a_compressed_image_and_best_effort_too(self):
        message = self.first_face(
            "/second/aue_crl/expressions",
            lambda: self.compressed.publish(self.probe.compressed_image()),
            reliable=False,
        )
        assert message.camera == f"{TOPIC}/compressed"

    def test_3_the_model_is_latched(self):
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        model = Collected(self.probe, ModelDescription, "/aue_crl/model", qos)
        self.probe.wait(lambda: model.messages, "the model's description")
        assert model.messages[0].weights == "edge"

    def test_4_it_subscribes_only_while_somebody_listens(self):
        self.probe.wait(lambda: self.probe.node.count_subscribers(TOPIC) == 0, "no subscription")
        results = self.probe.collect(FaceExpressionArray, "/aue_crl/expressions")
        self.probe.wait(lambda: self.probe.node.count_subscribers(TOPIC) == 1, "one subscription")
        results.close()
        self.probe.wait(lambda: self.probe.node.count_subscribers(TOPIC) == 0, "no subscription any more")

    def test_5_diagnostics_come(self):
        diagnostics = self.probe.collect(DiagnosticArray, "/diagnostics")
        self.probe.wait(
            lambda: {s.name for m in diagnostics.messages for s in m.status} >= {"/aue_crl", "/second/aue_crl"},
            "both nodes' diagnostics",
        )
        diagnostics.close()

    def test_6_the_graph_names_it(self):
        names = self.probe.node.get_node_names_and_namespaces()
        assert ("aue_crl", "/") in names
        assert ("aue_crl", "/second") in names
        (endpoint,) = self.probe.node.get_publishers_info_by_topic("/aue_crl/expressions")
        assert (endpoint.node_name, endpoint.node_namespace) == ("aue_crl", "/")
        assert endpoint.topic_type == "aue_crl/msg/FaceExpressionArray"
        listing = subprocess.run(["ros2", "node", "list"], capture_output=True, text=True, timeout=60, check=True)
        assert "/second/aue_crl" in listing.stdout.split()

    @unittest.skipUnless(
        get_rmw_implementation_identifier() == "rmw_cyclonedds_cpp", "services need rmw_cyclonedds_cpp"
    )
    def test_7_its_services_answer(self):
        answer = self.probe.call(ForgetNeutral, "/aue_crl/forget_neutral", face_id="nobody")
        assert not answer.success
        assert "nobody" in answer.message
        results = self.probe.collect(FaceExpressionArray, "/aue_crl/expressions")
        timer = self.probe.node.create_timer(0.1, lambda: self.images.publish(self.probe.image()))
        message = self.probe.wait(lambda: next((m for m in results.messages if m.faces), None), "a face")
        face_id = message.faces[0].face_id
        answer = self.probe.call(CalibrateNeutral, "/aue_crl/calibrate_neutral", face_id=face_id, duration=0.5)
        assert answer.success, answer.message
        assert self.probe.call(ForgetNeutral, "/aue_crl/forget_neutral", face_id=face_id).success
        self.probe.node.destroy_timer(timer)
        results.close()


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_they_ended_cleanly(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info, allowable_exit_codes=[0] if HAS_DDS else [0, -2])
