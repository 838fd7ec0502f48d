"""The node's state as `diagnostic_msgs/DiagnosticArray`: one status for the node, one a camera."""

from __future__ import annotations

import math
from typing import Any, Final

from aue_crl_ros.messages.conversions import header
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.runtime import ExpressionRuntime
from aue_crl_ros.session.statistics import CameraStatistics
from aue_crl_ros.transports.transport import Messages, Transport

OK: Final = 0
WARN: Final = 1
ERROR: Final = 2


def diagnostic_array(
    transport: Transport, node_name: str, settings: Settings, runtime: ExpressionRuntime | None
) -> Any:
    """What to say now; `runtime` is None while the node is unconfigured."""
    messages = transport.messages
    statuses = [_node_status(messages, node_name, runtime)]
    if runtime is not None and runtime.active:
        cameras = runtime.session.statistics.snapshot()
        expected = runtime.cameras if runtime.subscribed else ()
        for camera in dict.fromkeys([*expected, *cameras]):
            statistics = cameras.get(camera, CameraStatistics())
            awaited_s = min(statistics.silent_s, runtime.subscribed_s) if camera in expected else 0.0
            stale = awaited_s > settings.stale_after_s
            missing = runtime.missing(statistics.missing_share)
            statuses.append(_camera_status(messages, f"{node_name}: {camera}", node_name, statistics, stale, missing))
    return messages.new(
        "diagnostic_msgs/msg/DiagnosticArray", header=header(messages, transport.now_ns()), status=statuses
    )


def _node_status(messages: Messages, name: str, runtime: ExpressionRuntime | None) -> Any:
    if runtime is None:
        return _status(messages, OK, name, "unconfigured: no weights are loaded", name, {})
    facts = runtime.facts
    values = {
        "weights": facts.weights,
        "engine": facts.engine,
        "device": runtime.device,
        "precision": runtime.precision,
    }
    if runtime.failure:
        return _status(messages, ERROR, name, f"stopped: {runtime.failure}; deactivate and activate", name, values)
    if not runtime.active:
        return _status(messages, OK, name, "inactive: images are not read", name, values)
    values["lost datagrams"] = str(runtime.lost_datagrams)
    if runtime.losing:
        return _status(messages, WARN, name, runtime.losing, name, values)
    if runtime.device != facts.device:
        text = f"the networks run on {runtime.device}: {facts.device} had no memory left; "
        text += "configure the node again to return to it"
        return _status(messages, WARN, name, text, name, values)
    text = "reading images" if runtime.subscribed else "active; nobody listens, so images are not read"
    return _status(messages, OK, name, text, name, values)


def _camera_status(messages: Messages, name: str, hardware: str, s: CameraStatistics, stale: bool, missing: str) -> Any:
    if stale:
        since = f"for {s.silent_s:.1f} s" if math.isfinite(s.silent_s) else "yet"
        level, text = WARN, f"no image {since}: does the camera publish, on this topic, of this type?"
    elif s.failed:
        level, text = WARN, f"{s.failed} images could not be decoded; the log says why"
    elif missing:
        level, text = WARN, missing
    elif s.damaged:
        level, text = WARN, f"{s.damaged} images were damaged, and read as far as they go; the log says why"
    else:
        level, text = OK, f"{s.output_hz:.1f} of {s.input_hz:.1f} images a second"
    values = {
        "input rate": f"{s.input_hz:.2f} Hz",
        "output rate": f"{s.output_hz:.2f} Hz",
        "latency p50": _milliseconds(s.latency_p50_s),
        "latency p95": _milliseconds(s.latency_p95_s),
        "received": str(s.received),
        "dropped": str(s.dropped),
        "failed": str(s.failed),
        "damaged": str(s.damaged),
        "missing": str(s.missing),
        "faces": str(s.faces),
    }
    return _status(messages, level, name, text, hardware, values)


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms" if math.isfinite(seconds) else "not measured"


def _status(messages: Messages, level: int, name: str, text: str, hardware: str, values: dict[str, str]) -> Any:
    pairs = [messages.new("diagnostic_msgs/msg/KeyValue", key=key, value=value) for key, value in values.items()]
    return messages.new(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=level,
        name=name,
        message=text,
        hardware_id=hardware,
        values=pairs,
    )
