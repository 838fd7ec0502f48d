"""`aue-crl bench`: how fast each part of the way from image to prediction is on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.cli import console as screen
from aue_crl_core.cli.demo import photograph_path
from aue_crl_core.cli.limits import (
    Feed,
    Limit,
    Machine,
    known_limit,
    limit_of,
    measure_machine,
    paper_network,
    random_face,
)
from aue_crl_core.config import ModelName, model_config, require
from aue_crl_core.engines import Engine, EngineName, EngineOutput, Precision, find_weights, make_engine
from aue_crl_core.engines.base import Crops, Floats
from aue_crl_core.engines.onnx import OnnxEngine, landmarks_path
from aue_crl_core.engines.processor import processors
from aue_crl_core.errors import ConfigError, MissingDependencyError, import_failure
from aue_crl_core.faces.crop import apply, cut, inverse, map_from_points
from aue_crl_core.faces.detection.choice import DetectorName, make_detector
from aue_crl_core.faces.detection.yunet import YuNetDetector, find_model, read_model
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.onnx_session import make_session
from aue_crl_core.types import Frame, Image

WIDTH, HEIGHT = 640, 480
MOST_FACES: Final = 8
_WARM_UP: Final = 1
_LEAST_RUNS: Final = 5
_MOST_RUNS: Final = 300
_DECODE_MULTIPLY_ADDS: Final = 24
"""A pixel, of the inverse cosine transform: 16 a sample (rows, then columns, of 8), 1.5 samples a pixel (4:2:0)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One row: `part` timed on `faces` faces, the median and 95th percentile of `runs` calls, in milliseconds."""

    part: str
    faces: int
    p50_ms: float
    p95_ms: float
    runs: int

    @property
    def faces_per_second(self) -> float:
        """At the median."""
        return 1000 * self.faces / self.p50_ms


class UntrainedEngine:
    """A network of random weights through torch, for timing only; points come from another engine, so faces are found.

    Raises:
        MissingDependencyError: torch is not installed.
    """

    name = "torch"

    def __init__(self, model: ModelName, points: Engine, device: str, threads: int, precision: Precision) -> None:
        try:
            import torch

            from aue_crl_core.engines.torch import deployed_in, precision_of
            from aue_crl_core.networks.build import build_network
        except ImportError as error:
            reason = import_failure(error, "torch")
            raise MissingDependencyError("torch", "train", f"--model {model}", reason) from error
        torch.set_num_threads(threads)
        self.device = device
        self.precision = precision_of(precision)
        self.config = model_config(model)
        self.landmark_size = points.landmark_size
        self._points = points
        self._torch = torch
        network = build_network(self.config).eval().to(memory_format=torch.channels_last)
        self._network = deployed_in(self.precision, network, device)

    def landmarks(self, crops: Crops) -> tuple[Floats, Floats]:
        """See `Engine`."""
        return self._points.landmarks(crops)

    def predict(self, crops: Crops, points: Floats) -> EngineOutput:
        """See `Engine`."""
        with self._torch.inference_mode():
            inputs = (self._torch.from_numpy(array).to(self.device) for array in (crops, points))
            return EngineOutput.of([output.cpu().numpy() for output in self._network(*inputs)])


def command(
    weights: Annotated[
        str, typer.Option("--weights", "-w", help="A shipped name, a file, or a training run's folder.")
    ] = "edge",
    engine: Annotated[EngineName, typer.Option(help="What runs the networks.")] = "onnx",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    model: Annotated[
        ModelName | None,
        typer.Option(
            help="Time this network (resnet101: minutes) with random weights in torch; points come from --weights."
        ),
    ] = None,
    detector: Annotated[DetectorName, typer.Option(help="How faces are found.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processor threads; default: all that this process may use.")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="What the network is computed in; bf16 needs another --engine, or --model.")
    ] = "auto",
    faces: Annotated[
        list[int], typer.Option(min=1, max=MOST_FACES, help="So many faces in the picture; repeatable.")
    ] = [1, MOST_FACES],  # noqa: B006
    seconds: Annotated[float, typer.Option(min=0.0, help="About how long to time each row.")] = 3.0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the rows here too.")] = None,
    markdown: Annotated[bool, typer.Option(help="Print a Markdown table.")] = False,
    limits: Annotated[
        bool,
        typer.Option(
            "--limits",
            help="Beside the times, what each part must cost at this machine's matrix rate and bandwidth; also of the "
            "paper's resnet101 (needs torch and onnx).",
        ),
    ] = False,
) -> None:
    """Measure faces per second and milliseconds on this machine.

    On real pixels: a 640x480 picture of the demo photograph, and one with as many copies of it as --faces says.
    """
    threads = threads or processors()
    cv2.setNumThreads(threads)
    require(model is None or precision != "int8", "--precision", "be auto, fp32 or bf16 with --model", precision)
    source: Engine = make_engine(weights, engine, device, threads, precision if model is None else "auto")
    if model is not None:
        source = UntrainedEngine(model, source, device, threads, precision)
    analyzer = FaceAnalyzer(source, make_detector(detector, threads=threads))
    errors = screen.err()
    timings: list[Timing] = []
    photograph = load_image(photograph_path())
    with errors.status("timing") if errors.is_terminal else contextlib.nullcontext():
        for count in faces:
            timings += _measure(analyzer, picture_of(photograph, count), count, seconds)
    about = {
        "network": f"{model} (random weights)" if model else weights,
        "engine": source.name,
        "device": device,
        "precision": source.precision,
        "detector": analyzer.detector.name,
        "threads": threads,
        "processor": _processor_name(),
        "input_px": source.config.preprocessing.input_size,
    }
    console = screen.out()
    _print(console, _title(about), _HEADER, [_cells(t) for t in timings], markdown)
    rows = [{**dataclasses.asdict(t), "faces_per_second": t.faces_per_second} for t in timings]
    said = {**about, "rows": rows}
    if limits:
        machine = measure_machine(threads)
        with errors.status("measuring limits") if errors.is_terminal else contextlib.nullcontext():
            parts = _limits(analyzer, weights, picture_of(photograph, 1), machine, threads, seconds)
        console.print()
        _print(console, _machine_title(machine), _LIMITS_HEADER, [_limit_cells(row) for row in parts], markdown)
        said["machine"] = dataclasses.asdict(machine)
        said["limits"] = [{**dataclasses.asdict(row), "ratio": row.ratio} for row in parts]
    if json_file is not None:
        _write(json_file, said)
        console.print(Text(f"written: {json_file}"), soft_wrap=True)


def picture_of(photograph: Image, faces: int) -> Image:
    """A 640x480 picture with one face, about 145 px wide, or up to eight of 75 px in a 4x2 grid. HxWx3 uint8 RGB."""
    portrait = photograph[:, 56:456]
    if faces == 1:
        portrait = cv2.resize(portrait, (320, HEIGHT), interpolation=cv2.INTER_AREA)
        return cv2.copyMakeBorder(portrait, 0, 0, 160, 160, cv2.BORDER_REPLICATE)
    small = cv2.resize(portrait, (WIDTH // 4, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    tiles = [small] * faces + [np.full_like(small, 128)] * (MOST_FACES - faces)
    return np.vstack([np.hstack(tiles[:4]), np.hstack(tiles[4:])])


def _measure(analyzer: FaceAnalyzer, picture: Image, faces: int, seconds: float) -> list[Timing]:
    found = analyzer.find([picture])[0]
    if len(found) != faces:
        raise ConfigError(
            f"--detector and --weights must find {faces} faces in the picture, got {len(found)} with "
            f"'{analyzer.detector.name}'; use trained weights"
        )
    engine = analyzer.engine
    maps = [map_from_points(face.points, engine.config.preprocessing) for face in found]
    crops = np.stack([cut(picture, m, engine.config.preprocessing.input_size) for m in maps])
    points = np.stack([apply(inverse(m), f.points) for m, f in zip(maps, found, strict=True)]).astype(np.float32)
    small = np.stack([cv2.resize(crop, (engine.landmark_size,) * 2, interpolation=cv2.INTER_AREA) for crop in crops])
    clock = iter(range(1 << 30))

    def follow() -> None:
        analyzer.process([Frame(picture, time_s=next(clock) / 30, camera=f"bench{faces}")])

    every = analyzer.config.detect_every
    parts: tuple[tuple[str, Callable[[], object]], ...] = (
        (f"detection, {WIDTH}x{HEIGHT}", lambda: analyzer.detector(picture)),
        ("face points, one pass", lambda: engine.landmarks(small)),
        ("network", lambda: engine.predict(crops, points)),
        ("whole path, single image", lambda: analyzer(picture)),
        (f"whole path, video, detection every {every} frames", follow),
    )
    return [_time(part, faces, call, seconds) for part, call in parts]


def _time(part: str, faces: int, call: Callable[[], object], seconds: float) -> Timing:
    for _ in range(_WARM_UP):
        call()
    spent: list[float] = []
    began = time.perf_counter()
    while len(spent) < _LEAST_RUNS or (time.perf_counter() - began < seconds and len(spent) < _MOST_RUNS):
        start = time.perf_counter()
        call()
        spent.append((time.perf_counter() - start) * 1e3)
    p50, p95 = np.percentile(spent, [50, 95])
    return Timing(part, faces, float(p50), float(p95), len(spent))


_HEADER: Final = ("part", ">faces", ">ms p50", ">ms p95", ">faces/s")


def _cells(timing: Timing) -> tuple[str, ...]:
    rate = timing.faces_per_second
    return timing.part, str(timing.faces), f"{timing.p50_ms:.1f}", f"{timing.p95_ms:.1f}", f"{rate:.0f}"


def _title(about: Mapping[str, object]) -> str:
    threads = "thread" if about["threads"] == 1 else "threads"
    precision = "" if about["precision"] == "fp32" else f" in {about['precision']}"
    return (
        f"{about['network']}, {about['input_px']} px, {about['engine']} on {about['device']}{precision}, "
        f"{about['threads']} {threads}, {about['processor']}"
    )


_LIMITS_HEADER: Final = ("part", ">M multiply-adds", ">MB", ">floor ms", ">measured ms", ">ratio")


def _limit_cells(limit: Limit) -> tuple[str, ...]:
    figures = f"{limit.multiply_adds / 1e6:.1f}", f"{limit.bytes / 1e6:.2f}"
    return limit.part, *figures, f"{limit.floor_ms:.2f}", f"{limit.measured_ms:.2f}", f"{limit.ratio:.1f}"


def _machine_title(machine: Machine) -> str:
    rate, bandwidth = machine.multiply_adds / 1e9, machine.bandwidth / 1e9
    return f"floors at {rate:.0f} G float32 multiply-adds/s and {bandwidth:.1f} GB/s, measured here"


def _limits(
    analyzer: FaceAnalyzer, weights: str, picture: Image, machine: Machine, threads: int, seconds: float
) -> list[Limit]:
    """What the parts of a look at a 640x480 picture with one face cost, and the paper's network."""
    encoded = cv2.imencode(".jpg", picture)[1]
    detector, path = YuNetDetector(threads=threads), find_weights(weights, "onnx")
    engine = OnnxEngine(path, threads=threads)
    size, landmark_size = engine.config.preprocessing.input_size, engine.landmark_size
    face = random_face(size)
    crop = np.zeros((1, landmark_size, landmark_size, 3), np.uint8)
    detected = {"input": np.zeros((1, 3, HEIGHT, WIDTH), np.float32)}

    def median(call: Callable[[], object]) -> float:
        return _time("", 1, call, seconds).p50_ms

    def known(part: str, model: Path, feed: Feed, call: Callable[[], object]) -> Limit:
        return limit_of(part, model.read_bytes(), feed, machine, median(call))

    decode = known_limit(
        f"decode JPEG, {WIDTH}x{HEIGHT}",
        _DECODE_MULTIPLY_ADDS * WIDTH * HEIGHT,
        encoded.nbytes + picture.nbytes,
        machine,
        median(lambda: cv2.imdecode(encoded, cv2.IMREAD_COLOR)),
    )
    detect = limit_of(
        f"detect (YuNet), {WIDTH}x{HEIGHT}",
        read_model(find_model()),
        detected,
        machine,
        median(lambda: detector.detect(picture)),
    )
    points = known("face points", landmarks_path(path), {"images": crop}, lambda: engine.landmarks(crop))
    network = known("network", path, face, lambda: engine.predict(face["images"], face["points"]))
    with paper_network() as (model, paper_face):
        session = make_session(model, threads=threads)
        paper = known("paper's resnet101", model, paper_face, lambda: session.run(None, paper_face))
    return [decode, detect, points, network, paper]


def _print(console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool) -> None:
    """A table for the terminal, or in Markdown."""
    if not markdown:
        table = screen.plain_table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    names = [name.lstrip(">") for name in header]
    rules = ["---:" if name.startswith(">") else "---" for name in header]
    lines = [title + ":", "", *("| " + " | ".join(row) + " |" for row in (names, rules, *rows))]
    console.print("\n".join(lines), soft_wrap=True)


def _write(path: Path, values: Mapping[str, object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {path} cannot be written: {error.strerror or error}") from error


def _processor_name() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
