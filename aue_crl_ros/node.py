"""The rclpy lifecycle node: wiring only."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any, Final

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from aue_crl.srv import CalibrateNeutral, ForgetNeutral
from aue_crl_core.errors import AueCrlError, ConfigError
from aue_crl_ros.messages import damage
from aue_crl_ros.messages.diagnostics import diagnostic_array
from aue_crl_ros.parameters.declarations import PARAMETERS, Parameter, Settings
from aue_crl_ros.runtime import ExpressionRuntime
from aue_crl_ros.transports.cyclone import LARGE_BUFFERS, configured
from aue_crl_ros.transports.ros import RosTransport
from aue_crl_ros.transports.transport import RESULT
from aue_crl_ros.turns import take_short_turns

POLL_S: Final = 0.2
DIAGNOSTICS_S: Final = 1.0
_UNCONFIGURED: Final = "the node is not configured: ros2 lifecycle set NODE configure, then activate"
_DONE: Final = TransitionCallbackReturn.SUCCESS


class ExpressionNode(LifecycleNode):
    """`aue_crl`: unconfigured without weights, inactive without images, active with both."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("aue_crl", **arguments)
        self._runtime: ExpressionRuntime | None = None
        self._transport = RosTransport(self, on_matched=self._poll)
        for parameter in PARAMETERS.values():
            self.declare_parameter(parameter.name, _ros_value(parameter.default), _descriptor(parameter))
        self._settings = self._read_settings()
        self.add_on_set_parameters_callback(self._on_parameters)
        self._diagnostics = self._transport.publisher("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", RESULT)
        # Steady clocks: simulated time may stand still, listeners and diagnostics must not.
        steady = rclpy.clock.Clock(clock_type=rclpy.clock.ClockType.STEADY_TIME)
        self.create_timer(POLL_S, self._poll, clock=steady)
        self.create_timer(DIAGNOSTICS_S, self._diagnose, clock=steady)
        # It waits for images: in the default group it would keep them, and everything else, from coming.
        waiting = ReentrantCallbackGroup()
        self.create_service(CalibrateNeutral, "~/calibrate_neutral", self._calibrate, callback_group=waiting)
        self.create_service(ForgetNeutral, "~/forget_neutral", self._forget)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights, offer the topics."""
        try:
            self._settings = self._read_settings()
            self._runtime = ExpressionRuntime(self._transport, self._settings)
        except AueCrlError as error:
            self.get_logger().error(f"cannot be configured: {error}")
            return TransitionCallbackReturn.FAILURE
        facts = self._runtime.facts
        self.get_logger().info(
            f"weights {facts.weights} on {facts.engine}/{facts.device}, {facts.vocabulary} expressions"
        )
        return _DONE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Work from now on; images are subscribed to when somebody listens."""
        if self._runtime is not None:
            self._runtime.activate()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop; the weights stay."""
        if self._runtime is not None:
            self._runtime.deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the weights."""
        return self._release()

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, from any state."""
        return self._release()

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured."""
        return self._release()

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:
        """Refuses a transition that the state does not have; rclpy before PR 1319 (Humble's) ends the process."""
        machine = self._state_machine
        possible = {number: label for number, label, *_ in machine.available_transitions}
        if transition_id not in possible:
            state = machine.current_state[1]
            self.get_logger().warning(f"in state {state} a transition must be one of {possible}, got {transition_id}")
            return TransitionCallbackReturn.FAILURE
        return super()._LifecycleNodeMixin__change_state(transition_id)

    def _release(self) -> TransitionCallbackReturn:
        if self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            runtime.close()
        return _DONE

    def _read_settings(self) -> Settings:
        values = {name: self.get_parameter(name).value for name in PARAMETERS}
        try:
            return Settings().changed(values)
        except ConfigError as error:
            raise ConfigError(f"parameters of {self.get_fully_qualified_name()}: {error}") from error

    def _on_parameters(self, parameters: list[RosParameter]) -> SetParametersResult:
        values = {p.name: p.value for p in parameters if p.name in PARAMETERS}
        if not values:
            return SetParametersResult(successful=True)
        try:
            self._settings = self._settings.changed(values, configured=self._runtime is not None)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._runtime is not None:
            self._runtime.update(self._settings)
        return SetParametersResult(successful=True)

    def _poll(self) -> None:
        if self._runtime is not None:
            self._runtime.poll()

    def _diagnose(self) -> None:
        self._diagnostics.publish(
            diagnostic_array(self._transport, self.get_fully_qualified_name(), self._settings, self._runtime)
        )

    async def _calibrate(
        self, request: CalibrateNeutral.Request, response: CalibrateNeutral.Response
    ) -> CalibrateNeutral.Response:
        if self._runtime is None:
            response.message = _UNCONFIGURED
            return response
        answer = Future(executor=self.executor)
        self._runtime.calibrate(request.face_id, request.duration).add_done_callback(
            lambda done: answer.set_result(done.result())
        )
        result = await answer
        response.success, response.message = result.success, result.message
        response.frames, response.face_id = result.frames, result.face_id
        return response

    def _forget(self, request: ForgetNeutral.Request, response: ForgetNeutral.Response) -> ForgetNeutral.Response:
        response.message = _UNCONFIGURED
        if self._runtime is not None:
            response.success, response.message = self._runtime.forget_neutral(request.face_id)
        return response

    def destroy_node(self) -> None:
        """Release first, so that the worker thread never publishes on a dead node."""
        self._release()
        super().destroy_node()


def _ros_value(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    # dynamic typing: the declaration decides what is taken, a whole number for a float too, and says what is not
    descriptor = ParameterDescriptor(description=parameter.description, dynamic_typing=True)
    notes = [] if not parameter.choices else [f"one of {', '.join(parameter.choices)}"]
    notes += [] if parameter.live else ["changes in the unconfigured state only"]
    descriptor.additional_constraints = "; ".join(notes)
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))]
        else:
            low, high = float(parameter.low), float(parameter.high)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def main() -> int:
    """Spin until SIGINT or SIGTERM; the exit code is 1 where the node could not be made."""
    take_short_turns()
    damage.listen()
    # Ctrl-C comes twice, from the terminal and from launch; with rclpy's handlers the second cuts the clean-up short.
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # RCLError: a log level, a remapping or a file of parameters that is none
        print(f"error: the node's arguments cannot be used: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.set())
    try:
        with configured(LARGE_BUFFERS):
            node = ExpressionNode()
    except (AueCrlError, ParameterException) as error:
        rclpy.logging.get_logger("aue_crl").fatal(str(error))
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set():
            executor.spin_once()  # at most POLL_S
    except ExternalShutdownException:
        pass
    finally:
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # else the interpreter's own end has the default handlers back
    return 0
