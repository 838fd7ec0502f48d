"""`aue-crl doctor`: what is installed, what works here, and what to do about the rest."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import time
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from aue_crl_core import __version__, receive_buffers
from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.cli import console as screen
from aue_crl_core.cli.demo import photograph_path
from aue_crl_core.cli.doctor_node import print_nodes
from aue_crl_core.engines import WEIGHTS_DIRECTORY, EngineName, find_weights, make_engine, shipped_weights
from aue_crl_core.engines.onnx import METADATA_KEY, landmarks_path
from aue_crl_core.errors import AueCrlError
from aue_crl_core.faces.detection.choice import DetectorName, detector_status, make_detector
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.onnx_session import load_onnxruntime, make_session
from aue_crl_core.types import FaceBox, Image

_FAST_DDS: Final = "rmw_fastrtps_cpp"


@dataclass(frozen=True, slots=True)
class _Package:
    module: str
    purpose: str
    extra: str = ""


_PACKAGES: Final = (
    _Package("numpy", "arrays"),
    _Package("cv2", "images, the cascade detector"),
    _Package("onnxruntime", "the onnx engine, the detectors yunet and own"),
    _Package("av", "videos"),
    _Package("matplotlib", "the demo photograph, plots", "demo"),
    _Package("pyarrow", "Parquet output, dataset indexes", "tables"),
    _Package("torch", "the torch engine, training", "train"),
    _Package("safetensors", "checkpoints", "train"),
    _Package("onnx", "aue-crl export", "train"),
    _Package("mediapipe", "face points for training data", "landmarks"),
)

_METRICS: Final = {
    "accuracy": "accuracy",
    "mean_class_accuracy": "mean class accuracy",
    "macro_f1": "macro F1",
    "point_error": "error of face points",
}


def command(
    node: Annotated[
        bool, typer.Option("--node", help="Instead: how the nodes that run are doing, heard on /diagnostics over DDS.")
    ] = False,
) -> None:
    """Say what is installed, what works here, and what to do about the rest.

    Detectors and engines are really run, on a photograph where there is one. The exit code is 1 where the base path
    (the YuNet detector, the onnx engine, shipped weights) does not work; with --node, where no node is heard or one
    warns.
    """
    console = screen.out()
    if node:
        if not print_nodes(console):
            raise typer.Exit(1)
        return
    _print_packages(console)
    _print_weights(console)
    trial = _trial()
    if trial.note:
        console.print(trial.note, style="dim", soft_wrap=True)
    works = [_print_detectors(console, trial), _print_engines(console, trial)]
    _print_limits(console)
    _print_fast_dds(console)
    if not all(works):
        console.print("The base path does not work here: see the lines marked 'broken'.", style="red")
        raise typer.Exit(1)
    console.print("The base path works.", style="green")


def _print_packages(console: Console) -> None:
    table = screen.plain_table("package", "version", "for", title=f"aue-crl {__version__}")
    system = f"{platform.system()} {platform.machine()}"
    table.add_row("python", platform.python_version(), f"{platform.python_implementation()} on {system}")
    for package in _PACKAGES:
        version, remark = _version(package)
        missing = version is None
        style = "default" if not missing else "dim" if package.extra else "red"
        table.add_row(package.module, version or "absent", package.purpose + remark, style=style)
    console.print(table)


def _version(package: _Package) -> tuple[str | None, str]:
    """Version and a remark. torch and mediapipe take seconds to import: only torch is imported, to see its devices."""
    if package.module == "mediapipe":
        try:
            return importlib.metadata.version("mediapipe"), ""
        except importlib.metadata.PackageNotFoundError:
            return None, f"; {_install(package)}"
    try:
        load = load_onnxruntime if package.module == "onnxruntime" else importlib.import_module
        module = load(package.module)
    except ModuleNotFoundError:
        return None, f"; {_install(package)}"
    except ImportError as error:
        return "broken", f"; does not import: {' '.join(str(error).split())}"
    remark = ""
    if package.module == "torch":
        cuda = module.cuda
        remark = f"; CUDA: {cuda.get_device_name(0)}" if cuda.is_available() else "; CUDA: none seen"
    if package.module == "onnxruntime":
        names = [name.removesuffix("ExecutionProvider") for name in module.get_available_providers()]
        names = [name for name in names if name != "Azure"]  # a remote service that every wheel lists
        remark = f"; devices: {', '.join(names)}"
    return str(module.__version__), remark


def _install(package: _Package) -> str:
    return f"pip install 'aue-crl[{package.extra}]'" if package.extra else "pip install aue-crl"


def _print_weights(console: Console) -> None:
    table = screen.plain_table("weights", "stage", "classes", ">input", ">MB", "validation", title="Shipped weights")
    for name in shipped_weights():
        onnx, checkpoint = find_weights(name, "onnx"), find_weights(name, "torch")
        files = [path for path in (onnx, landmarks_path(onnx), checkpoint) if path.is_file()]
        size = f"{sum(path.stat().st_size for path in files) / 1e6:.1f}"
        try:
            said = _metadata(name)
        except AueCrlError as error:
            table.add_row(name, Text(f"broken: {error}", style="red"), "", "", size, "")
            continue
        shown = [f"{words} {said['metrics'][key]:.1%}" for key, words in _METRICS.items() if key in said["metrics"]]
        side = str(said["config"]["preprocessing"]["input_size"])
        table.add_row(name, said["stage"], str(len(said["classes"])), side, size, ", ".join(shown) or "not stated")
    if table.row_count:
        console.print(table)
    else:
        console.print(
            f"broken: no weights in {WEIGHTS_DIRECTORY}; install the package again", style="red", soft_wrap=True
        )


def _metadata(name: str) -> dict[str, Any]:
    """What the ONNX file says about itself, without torch."""
    path = find_weights(name, "onnx")
    make_engine(name, "onnx")  # raises where onnxruntime or the files are missing or damaged
    session = make_session(path)
    return json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])


@dataclass(frozen=True, slots=True)
class _Trial:
    """What detectors and engines are run on; `note` says why it is a blank image, if it is."""

    image: Image
    note: str = ""


def _trial() -> _Trial:
    try:
        return _Trial(load_image(photograph_path()))
    except AueCrlError as error:
        return _Trial(np.full((480, 640, 3), 127, np.uint8), f"Run on a blank image, without a face to find ({error})")


def _print_detectors(console: Console, trial: _Trial) -> bool:
    table = screen.plain_table("detector", "", "result, or what to do", title="Detectors")
    base = True
    for state in detector_status():
        needed = state.name == "yunet"
        if not state.works:
            base = base and not needed
            table.add_row(state.name, _verdict(False, needed), state.remedy or state.detail)
            continue
        boxes, said = _try_detector(state.name, trial.image)
        found = boxes > 0 or bool(trial.note)
        base = base and (found or not needed)
        table.add_row(state.name, _verdict(found, needed), f"{said} ({state.detail})")
    console.print(table)
    return base


def _try_detector(name: DetectorName, image: Image) -> tuple[int, str]:
    detector = make_detector(name)
    detector(image)
    began = time.perf_counter()
    boxes = detector(image)
    spent = (time.perf_counter() - began) * 1e3
    count = len({tuple(box.as_list()) for box in boxes})  # one whose roll is not sure has several boxes
    return count, f"{count} {'face' if count == 1 else 'faces'} in {spent:.0f} ms"


def _print_engines(console: Console, trial: _Trial) -> bool:
    table = screen.plain_table("engine", "", "result, or what to do", title="Engines")
    runs: list[tuple[EngineName, str]] = [
        ("onnx", "cpu"),
        ("openvino", "cpu"),
        ("torch", "cpu"),
        ("onnx", "cuda"),
        ("torch", "cuda"),
    ]
    base = True
    for engine, device in runs:
        needed = (engine, device) == ("onnx", "cpu")
        try:
            said = _try_engine(engine, device, trial)
        except AueCrlError as error:
            base = base and not needed
            table.add_row(f"{engine} on {device}", _verdict(False, needed), str(error))
        else:
            table.add_row(f"{engine} on {device}", _verdict(True, needed), said)
    console.print(table)
    return base


def _try_engine(engine: EngineName, device: str, trial: _Trial) -> str:
    analyzer = FaceAnalyzer.load("edge", engine, device, detector="none")
    image = trial.image
    height, width = image.shape[:2]
    box = FaceBox(0.3 * width, 0.2 * height, 0.4 * width, 0.4 * height)
    analyzer.in_boxes([image], [box])
    began = time.perf_counter()
    face = analyzer.in_boxes([image], [box])[0]
    spent = (time.perf_counter() - began) * 1e3
    if trial.note:
        return f"runs in {spent:.0f} ms (points and network)"
    best = int(face.probabilities.argmax())
    return f"{analyzer.expressions[best]} {face.probabilities[best]:.0%} in {spent:.0f} ms (points and network)"


def _print_limits(console: Console) -> None:
    """What the kernel lets a node's sockets hold, and the lines that raise it."""
    limit = receive_buffers.receive_limit()
    if limit is None:
        return
    said = f"Images over the network: {receive_buffers.LIMIT} is {limit}"
    if limit >= receive_buffers.ENOUGH:
        console.print(f"{said}, room for large raw ones.")
        return
    console.print(f"{said}: large raw images may be lost (see docs/ros.md). To raise it now, and at every start:")
    for line in (receive_buffers.REMEDY, receive_buffers.REMEDY_FOR_GOOD):
        console.print(f"  {line}", soft_wrap=True)


def _print_fast_dds(console: Console) -> None:
    """In a sourced ROS whose middleware is Fast DDS, the line that saves large raw images of a camera."""
    if "ROS_DISTRO" not in os.environ or os.environ.get("RMW_IMPLEMENTATION", _FAST_DDS) != _FAST_DDS:
        return
    from aue_crl_ros.messages.share import FAST_DDS_PROFILE, share

    console.print(
        "Images on this machine: Fast DDS loses raw ones of 640x480 and more (see docs/ros.md) unless the camera"
    )
    console.print("starts with its profile:")
    console.print(f"  export FASTRTPS_DEFAULT_PROFILES_FILE={share(FAST_DDS_PROFILE)}", soft_wrap=True)


def _verdict(works: bool, needed: bool) -> Text:
    if works:
        return Text("works", style="green")
    return Text("broken", style="bold red") if needed else Text("not here", style="dim")
