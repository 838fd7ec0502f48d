"""The lifecycle node meets weights that are missing or damaged, an engine that throws, and ten times what it can read.

Tests run in the order of their names, on one node. What the last one measures is printed.
"""

import itertools
import random
import sys
import tempfile
import time
import unittest
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import launch_testing
import launch_testing.actions
import launch_testing.asserts
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from launch import LaunchDescription
from launch.actions import ExecuteProcess, SetEnvironmentVariable
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from sensor_msgs.msg import CompressedImage

from aue_crl.msg import FaceExpressionArray
from aue_crl.srv import CalibrateNeutral, ForgetNeutral
from aue_crl_core.engines import find_weights

sys.path.insert(0, str(Path(__file__).parent))
from probe import Probe

NODE = "/faults/aue_crl"
CAMERAS = [f"/faults/camera_{number}" for number in range(8)]
ROUNDS = 3
ONCE_FAILING = """
import itertools, sys
from aue_crl_core.engines.onnx import OnnxEngine
from aue_crl_ros.node import main

predict, calls = OnnxEngine.predict, itertools.count(1)

def failing_once(engine, *arguments):
    if next(calls) == 3:
        raise RuntimeError("out of memory")
    return predict(engine, *arguments)

OnnxEngine.predict = failing_once
sys.exit(main())
"""


def generate_test_description():
    parameters = {"image_topics": CAMERAS, "image_transport": "compressed", "threads": 1}
    given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-c", ONCE_FAILING, "--ros-args", "-r", "__ns:=/faults", *given]
    node = ExecuteProcess(cmd=command, output="screen", name="expression_node")
    return LaunchDescription(
        [SetEnvironmentVariable("OMP_NUM_THREADS", "1"), node, launch_testing.actions.ReadyToTest()]
    )


def parameter(name, kind, **value):
    return Parameter(name=name, value=ParameterValue(type=kind, **value))


class TestFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = Probe("tester")
        node = cls.probe.node
        cls.publishers = [node.create_publisher(CompressedImage, f"{camera}/compressed", 1) for camera in CAMERAS]
        services = {
            "change_state": ChangeState,
            "get_state": GetState,
            "get_parameters": GetParameters,
            "set_parameters": SetParameters,
            "calibrate_neutral": CalibrateNeutral,
            "forget_neutral": ForgetNeutral,
        }
        cls.clients = {name: node.create_client(kind, f"{NODE}/{name}") for name, kind in services.items()}
        cls.image = cls.probe.compressed_image()

    @classmethod
    def tearDownClass(cls):
        cls.probe.close()

    def call(self, service, **request):
        """The answer of a service that was found before, so that its time is that of the answer."""
        client = self.clients[service]
        self.probe.wait(client.service_is_ready, service, 30)
        answer = client.call_async(client.srv_type.Request(**request))
        self.probe.wait(answer.done, f"answer of {service}", 30)
        return answer.result()

    def change(self, transition):
        return self.call("change_state", transition=Transition(id=transition)).success

    def state(self):
        return self.call("get_state").current_state.id

    def set_weights(self, weights):
        given = parameter("weights", ParameterType.PARAMETER_STRING, string_value=str(weights))
        return self.call("set_parameters", parameters=[given]).results[0].successful

    def publish(self, publisher):
        self.image.header.stamp = self.probe.node.get_clock().now().to_msg()
        publisher.publish(self.image)

    def face(self):
        """A face is read, within images that are published until then."""
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")
        found = self.probe.wait(
            lambda: any(m.faces for m in results.messages), "a face", 30, each=lambda: self.publish(self.publishers[0])
        )
        results.close()
        return found

    def refused(self, weights, complaint, proc_output):
        assert self.set_weights(weights)
        assert not self.change(Transition.TRANSITION_CONFIGURE)
        assert self.state() == State.PRIMARY_STATE_UNCONFIGURED
        proc_output.assertWaitFor(complaint, timeout=15)
        words = "".join(output.text.decode() for output in proc_output)
        assert words.count("[ERROR]") == words.count("cannot be configured: ")
        assert "Traceback" not in words

    def test_1_missing_weights_fail_the_transition_and_leave_it_unconfigured(self, proc_output):
        self.refused("/nowhere/absent.onnx", "cannot be configured: ", proc_output)

    def test_2_so_do_damaged_ones(self, proc_output):
        good = find_weights("edge", "onnx")
        data = bytearray(good.read_bytes())
        for place in random.Random(0).sample(range(1000, len(data)), 1000):
            data[place] ^= 1
        with tempfile.TemporaryDirectory() as folder:
            bad = Path(folder, "damaged.onnx")
            bad.write_bytes(data)
            landmarks = good.with_name("edge.landmarks.onnx")
            bad.with_name("damaged.landmarks.onnx").write_bytes(landmarks.read_bytes())
            self.refused(bad, str(bad), proc_output)

    def test_3_with_good_ones_the_same_transition_works(self):
        assert self.set_weights("edge")
        assert self.change(Transition.TRANSITION_CONFIGURE)
        assert self.change(Transition.TRANSITION_ACTIVATE)

    def test_4_an_engine_that_throws_stops_the_analysis_and_activating_again_mends_it(self, proc_output):
        diagnostics = self.probe.collect(DiagnosticArray, "/diagnostics")
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions")

        def error():
            told = [s for m in diagnostics.messages for s in m.status if s.name == NODE]
            return next((s for s in told if s.level == DiagnosticStatus.ERROR), None)

        told = self.probe.wait(error, "the error", 30, each=lambda: self.publish(self.publishers[0]))
        assert "out of memory" in told.message
        assert "deactivate and activate" in told.message
        proc_output.assertWaitFor("analysis stopped", timeout=15)
        results.close()
        diagnostics.close()
        assert "deactivate and activate" in self.call("calibrate_neutral", duration=1.0).message
        assert self.state() == State.PRIMARY_STATE_ACTIVE
        assert self.change(Transition.TRANSITION_DEACTIVATE)
        assert self.change(Transition.TRANSITION_ACTIVATE)
        assert self.face()

    @contextmanager
    def flood(self):
        """The answers to images of all cameras in turn, up to a thousand a second: ten times what can be read."""
        results = self.probe.collect(FaceExpressionArray, f"{NODE}/expressions", depth=1000)
        turn = itertools.cycle(self.publishers)
        timer = self.probe.node.create_timer(0.001, lambda: self.publish(next(turn)))
        try:
            self.probe.wait(lambda: results.messages, "the first answer", 60)
            yield results.messages
        finally:
            self.probe.node.destroy_timer(timer)
            results.close()

    def test_5_under_ten_times_its_rate_cameras_are_answered_alike_and_images_do_not_age(self):
        with self.flood() as messages:
            began = time.monotonic()
            self.probe.wait(lambda: len(messages) > 20 * len(CAMERAS), "twenty answers of each camera", 120)
            round_s = (time.monotonic() - began) / 20
        answers = Counter(message.camera for message in messages)
        assert len(answers) == len(CAMERAS)
        assert 2 * min(answers.values()) >= max(answers.values()), answers
        dropped = {message.camera: message.dropped_frames for message in messages}
        assert min(dropped.values()) > 0, dropped
        last = messages[-len(messages) // 4 :]
        age_s = median(message.latency for message in last)
        assert age_s < ROUNDS * round_s, (age_s, round_s)
        per_answer = sum(dropped.values()) / len(messages)
        print(f"{len(CAMERAS) / round_s:.0f} answers a second, {per_answer:.0f} images dropped for each")
        print(f"age of an image when it is answered: {1e3 * age_s:.0f} ms")

    def test_6_and_whoever_asks_is_answered(self):
        calls = (
            ("get_parameters", {"names": ["smoothing_s"]}),
            (
                "set_parameters",
                {"parameters": [parameter("smoothing_s", ParameterType.PARAMETER_DOUBLE, double_value=0.2)]},
            ),
            ("get_state", {}),
            ("forget_neutral", {"face_id": "nobody"}),
            ("calibrate_neutral", {"face_id": "nobody", "duration": 1.0}),
            ("change_state", {"transition": Transition(id=Transition.TRANSITION_DEACTIVATE)}),
            ("change_state", {"transition": Transition(id=Transition.TRANSITION_ACTIVATE)}),
        )
        waits_ms = defaultdict(list)
        for _ in range(3):
            with self.flood():
                for service, request in calls:
                    self.probe.quiet(0.2)
                    asked = time.monotonic()
                    answer = self.call(service, **request)
                    waits_ms[service].append(1e3 * (time.monotonic() - asked))
                    assert service != "change_state" or answer.success
        for service, waits in waits_ms.items():
            print(f"{service} answers after {median(waits):.0f} ms, at most {max(waits):.0f}")


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_it_ended_cleanly(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info, allowable_exit_codes=[0])
