"""The node on plain DDS: the same runtime and parameters, for machines without ROS."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from contextlib import closing
from types import FrameType
from typing import Any, Final

from aue_crl_core.live.hub import Hub
from aue_crl_ros.messages import damage
from aue_crl_ros.messages.diagnostics import diagnostic_array
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.runtime import ExpressionRuntime
from aue_crl_ros.transports.dds.network import Range
from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import RESULT
from aue_crl_ros.turns import take_short_turns

NODE_NAME: Final = "aue_crl"
POLL_S: Final = 0.2
_POLLS_A_DIAGNOSIS: Final = 5


def run(
    settings: Settings,
    *,
    namespace: str = "/",
    remappings: Mapping[str, str] | None = None,
    domain_id: int | None = None,
    use_sim_time: bool = False,
    view: Hub | None = None,
    discovery: Range | None = None,
) -> str:
    """Configure, activate and work until SIGINT or SIGTERM; returns what ended it, empty after a signal.

    `view` is shown everything, and whoever looks at it listens.

    Raises:
        AueCrlError: the node cannot be configured; the message says what to do.
    """
    take_short_turns()
    damage.listen()
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with (
            DdsTransport(NODE_NAME, namespace, remappings or {}, domain_id, use_sim_time, discovery) as transport,
            closing(ExpressionRuntime(transport, settings, view)) as runtime,
        ):
            name = transport.resolve("~")
            diagnostics = transport.publisher("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", RESULT)
            facts = runtime.facts
            transport.log("info", f"on DDS domain {transport.participant.domain_id} it {transport.network}")
            transport.log("info", f"weights {facts.weights} on {facts.engine}/{facts.device}, {facts.vocabulary}")
            _offer_services(transport, runtime)
            runtime.activate()
            ticks = 0
            while not stop.wait(POLL_S) and not runtime.failure:
                runtime.poll()
                ticks += 1
                if ticks % _POLLS_A_DIAGNOSIS == 0:
                    diagnostics.publish(diagnostic_array(transport, name, settings, runtime))
            return runtime.failure
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _offer_services(transport: DdsTransport, runtime: ExpressionRuntime) -> None:
    new = transport.messages.new

    def calibrate(request: Any) -> Any:
        result = runtime.calibrate(request.face_id, request.duration).result()
        return new(
            "aue_crl/srv/CalibrateNeutral_Response",
            success=result.success,
            message=result.message,
            frames=result.frames,
            face_id=result.face_id,
        )

    def forget(request: Any) -> Any:
        success, message = runtime.forget_neutral(request.face_id)
        return new("aue_crl/srv/ForgetNeutral_Response", success=success, message=message)

    transport.service("~/calibrate_neutral", "aue_crl/srv/CalibrateNeutral", calibrate)
    transport.service("~/forget_neutral", "aue_crl/srv/ForgetNeutral", forget)
