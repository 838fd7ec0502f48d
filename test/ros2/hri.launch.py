"""ROS4HRI (REP-155) topics as a plain hri_msgs subscriber reads them, in both modes."""

import sys
import unittest
from pathlib import Path

import launch_testing
import launch_testing.actions
import launch_testing.asserts
import numpy as np
from ament_index_python.packages import get_package_share_directory
from hri_msgs.msg import Expression, FacialActionUnits, FacialLandmarks, IdsList, NormalizedRegionOfInterest2D
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import LifecycleNode
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image

sys.path.insert(0, str(Path(__file__).parent))
from probe import Collected, Probe, portrait

TOPIC = "/camera/image_raw"
FACES = "/humans/faces"


def generate_test_description():
    launch_file = Path(get_package_share_directory("aue_crl"), "launch", "expression.launch.py")
    camera_node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(launch_file)), launch_arguments={"image_topic": TOPIC, "hri": "true"}.items()
    )
    # Beside another face detector: crops in, expressions out; in a namespace so that both nodes live in one test.
    beside = LifecycleNode(
        package="aue_crl",
        executable="expression_node",
        name="aue_crl",
        namespace="beside",
        parameters=[{"hri": True, "face_source": "cropped", "lost_after_s": 0.5}],
        remappings=[(f"{FACES}/tracked", "/other/faces/tracked")],
    )
    return LaunchDescription(
        [SetEnvironmentVariable("OMP_NUM_THREADS", "1"), camera_node, beside, launch_testing.actions.ReadyToTest()]
    )


class TestHri(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = Probe("hri_tester")
        cls.publisher = cls.probe.node.create_publisher(Image, TOPIC, 1)
        cls.blank = np.full((480, 640, 3), 120, np.uint8)

    @classmethod
    def tearDownClass(cls):
        cls.probe.close()

    def publish(self):
        self.publisher.publish(self.probe.image())

    def publish_blank(self):
        message = self.probe.image()
        message.data = self.blank.tobytes()
        self.publisher.publish(message)

    def test_1_a_face_has_its_topics_and_loses_them_when_it_is_gone(self):
        tracked = self.probe.collect(IdsList, f"{FACES}/tracked")

        def listed():
            return next((m.ids[0] for m in tracked.messages if m.ids), None)

        face = self.probe.wait(listed, "a tracked face", 30, each=self.publish)
        assert face[0].isalpha()
        base = f"{FACES}/{face}"
        kinds = {
            "roi": NormalizedRegionOfInterest2D,
            "cropped": Image,
            "aligned": Image,
            "landmarks": FacialLandmarks,
            "facs": FacialActionUnits,
            "expression": Expression,
        }
        got: dict[str, Collected] = {name: self.probe.collect(kind, f"{base}/{name}") for name, kind in kinds.items()}
        self.probe.wait(lambda: all(c.messages for c in got.values()), f"all topics of {base}", each=self.publish)
        for name, collected in got.items():
            assert collected.messages[-1].header.frame_id == "camera", name

        roi = got["roi"].messages[-1]
        assert 0 <= roi.xmin < roi.xmax <= 1
        assert 0 <= roi.ymin < roi.ymax <= 1
        landmarks = got["landmarks"].messages[-1]
        assert (landmarks.height, landmarks.width) == (480, 640)
        nose = landmarks.landmarks[FacialLandmarks.NOSE]
        assert roi.xmin < nose.x < roi.xmax
        assert roi.ymin < nose.y < roi.ymax
        right, left = (
            landmarks.landmarks[i] for i in (FacialLandmarks.RIGHT_EYE_OUTSIDE, FacialLandmarks.LEFT_EYE_OUTSIDE)
        )
        assert right.x < nose.x < left.x, "a person's right eye is on the image's left"
        facs = got["facs"].messages[-1]
        estimated = [code for code in range(99) if facs.confidence[code] > 0]
        assert estimated == [1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 20, 23, 24, 25, 26]
        assert all(0 <= facs.intensity[code] <= 1 for code in range(99))
        expression = got["expression"].messages[-1]
        known = (Expression.NEUTRAL, Expression.ANGRY, Expression.SAD, Expression.HAPPY)
        assert expression.expression in (*known, Expression.SURPRISED, Expression.DISGUSTED, Expression.SCARED)
        assert 0 < expression.confidence <= 1
        assert -1 <= expression.valence <= 1
        assert -1 <= expression.arousal <= 1
        cropped = got["cropped"].messages[-1]
        assert len(cropped.data) == cropped.height * cropped.step

        self.probe.wait(
            lambda: tracked.messages[-1].ids == [] and self.probe.node.count_publishers(f"{base}/roi") == 0,
            "the withdrawal of the face's topics",
            each=self.publish_blank,
        )
        for collected in got.values():
            collected.close()
        tracked.close()

    def test_2_faces_of_another_detector_are_read_under_their_ids(self):
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert self.probe.call(
                ChangeState, "/beside/aue_crl/change_state", transition=Transition(id=transition), timeout_s=30
            ).success
        ids = self.probe.node.create_publisher(IdsList, "/other/faces/tracked", 1)
        crops = self.probe.node.create_publisher(Image, f"{FACES}/abcde/cropped", 1)
        image = portrait()[40:330, 190:440]

        def publish():
            message = self.probe.image(frame_id="other_camera")
            message.height, message.width, message.step = image.shape[0], image.shape[1], image.shape[1] * 3
            message.data = np.ascontiguousarray(image).tobytes()
            listing = IdsList(ids=["abcde"])
            listing.header = message.header
            ids.publish(listing)
            crops.publish(message)

        expressions = self.probe.collect(Expression, f"{FACES}/abcde/expression")
        units = self.probe.collect(FacialActionUnits, f"{FACES}/abcde/facs")
        self.probe.wait(lambda: expressions.messages and units.messages, "the crop's expression", 30, each=publish)
        assert expressions.messages[-1].header.frame_id == "other_camera"
        assert units.messages[-1].confidence[12] > 0
        assert 0 < expressions.messages[-1].confidence <= 1
        assert self.probe.node.count_publishers(f"{FACES}/abcde/cropped") == 1, "the other node's topic stays its own"


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_they_ended_cleanly(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info, allowable_exit_codes=[0])
