"""onnxruntime sessions, made in one place: for the networks and for the detector."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any, Final

from aue_crl_core.errors import CheckpointError, ConfigError, MissingDependencyError, import_failure

TELEMETRY_SWITCH: Final = "ORT_DISABLE_TELEMETRY"
_NO_CUDA: Final = "use --device cpu, install onnxruntime-gpu with its CUDA libraries, or use --engine torch"


def load_onnxruntime(module: str = "onnxruntime") -> Any:
    """onnxruntime, or a module of it, told before it loads to report nothing to its makers. All imports of it go here.

    It reads the environment variable once, as it loads; where that is set already, its value stays.

    Raises:
        ImportError: it is not installed, or does not import.
    """
    os.environ.setdefault(TELEMETRY_SWITCH, "1")
    return importlib.import_module(module)


def make_session(model: Path | bytes, device: str = "cpu", threads: int | None = None, name: str = "") -> Any:
    """An `onnxruntime.InferenceSession` of a file, or of a model in memory that messages call `name`.

    `threads`: processor threads for one call (None: onnxruntime's own choice, all physical cores). They sleep between
    calls: several sessions in one process would else spin against each other, and against the rest of the robot.

    Raises:
        CheckpointError: onnxruntime cannot run the model.
        ConfigError: the device is not available to this onnxruntime.
        MissingDependencyError: onnxruntime is not installed.
    """
    name = name or str(model)
    try:
        onnxruntime = load_onnxruntime()
        state = load_onnxruntime("onnxruntime.capi.onnxruntime_pybind11_state")
    except ImportError as error:
        reason = import_failure(error, "onnxruntime")
        raise MissingDependencyError("onnxruntime", "", "the onnx engine", reason) from error
    kind, _, number = device.partition(":")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ConfigError(f"device of the onnx engine must be cpu, cuda or cuda:N, got {device!r}")
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[kind]
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise ConfigError(
            f"device must be one that this onnxruntime has ({', '.join(available)}), got {device!r}; {_NO_CUDA}"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    providers = [(provider, {"device_id": number} if number else {})]
    refusals = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )
    try:
        source = model if isinstance(model, bytes) else str(model)
        session = onnxruntime.InferenceSession(source, options, providers=providers)
    except refusals as error:
        raise CheckpointError(f"{name} must be an ONNX model that this onnxruntime runs, got: {error}") from error
    if session.get_providers()[0] != provider:  # onnxruntime only logs that it fell back
        raise ConfigError(f"device must be one that onnxruntime can start, got {device!r}; {_NO_CUDA}")
    return session
