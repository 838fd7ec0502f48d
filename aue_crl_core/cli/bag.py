"""`aue-crl bag`: a ROS bag written again with the expression topics added."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from aue_crl_core.cli import console as screen
from aue_crl_core.engines import EngineName, Precision
from aue_crl_core.errors import MissingDependencyError, import_failure

if TYPE_CHECKING:
    from aue_crl_ros.bags.process import Tally

_INTERRUPTED: Final = 130
_SHOWN: Final = 5


def command(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A bag: a folder with metadata.yaml, or one .mcap or .db3 file.")
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The bag to write: a folder, or one .mcap or .db3 file."),
    ],
    topic: Annotated[
        list[str] | None, typer.Option(help="Image topic to analyse, repeatable; default: all that hold pictures.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="A shipped name, a file, or a training run's folder.")
    ] = None,
    engine: Annotated[EngineName | None, typer.Option(help="What runs the networks.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads of the engine.")] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="What the network is computed in; auto: int8 where that is there and faster, else fp32. bf16 needs "
            "--engine torch or openvino."
        ),
    ] = None,
    params_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A ROS parameter file; read as by a node called aue_crl.")
    ] = None,
    storage: Annotated[
        Literal["sqlite3", "mcap"] | None, typer.Option(help="Of OUT; default: by its ending, else as IN.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="What the added topics' names begin with.")] = "/aue_crl",
) -> None:
    """Write a ROS bag again with /aue_crl/expressions, /aue_crl/events and /aue_crl/model added; ROS is not needed.

    Every message is copied unchanged. Every image is analysed, in order, as the node would; its expressions stand at
    its own timestamp. An image that cannot be read is copied and reported, and the exit code is 1.
    """
    try:
        import rosbags as _  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("rosbags", "bags", "a ROS bag", import_failure(error, "rosbags")) from error
    from aue_crl_ros.bags.process import annotate
    from aue_crl_ros.parameters.declarations import Settings
    from aue_crl_ros.parameters.file import load

    options = {
        "weights": weights,
        "engine": engine,
        "device": device,
        "threads": threads,
        "precision": precision,
    }
    settings = Settings().changed(load(params_file, "aue_crl") if params_file else {})
    settings = settings.changed({name: value for name, value in options.items() if value is not None})
    errors = screen.err()
    began = time.monotonic()
    with _progress(errors) as progress:
        task = progress.add_task(source.name, total=None)

        def show(tally: Tally) -> None:
            progress.update(task, completed=tally.images + len(tally.bad), total=tally.total)

        try:
            tally = annotate(
                source, target, settings, topics=topic or [], storage=storage, prefix=prefix, progress=show
            )
        except KeyboardInterrupt:
            errors.print(f"stopped by Ctrl-C: {target} was not written", soft_wrap=True)
            raise typer.Exit(_INTERRUPTED) from None
    _print_summary(screen.out(), tally, time.monotonic() - began, target)
    _print_problems(errors, tally)
    if tally.bad:
        raise typer.Exit(1)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _print_summary(console: Console, tally: Tally, seconds: float, target: Path) -> None:
    rate = tally.images / seconds if seconds > 0 else 0.0
    console.print(
        f"{_count(tally.images, 'image')} of {', '.join(tally.cameras)} in {seconds:.1f} s ({rate:.1f} a second): "
        f"{_count(tally.faces, 'face')} under {_count(len(tally.face_ids), 'id')}, {_count(tally.events, 'event')}; "
        f"{_count(tally.empty, 'image')} without a face",
        soft_wrap=True,
    )
    counts = Text("  ").join(
        Text(f"{name} {number}", style=screen.style_of(name)) for name, number in tally.expressions.most_common()
    )
    if tally.faces:
        console.print(Text("expressions: ").append(counts))
    doubts = [f"{tally.states[s]} {s.replace('_', ' ')}" for s in ("uncertain", "low_quality") if tally.states[s]]
    if doubts:
        console.print(f"of these {', '.join(doubts)}", style="dim")
    console.print(f"written: {target}, {_count(tally.copied, 'message')} copied", soft_wrap=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_problems(console: Console, tally: Tally) -> None:
    for note in tally.notes:
        console.print(Text("note: ", style="dim").append(note, style="default"), soft_wrap=True)
    for bad in tally.bad[:_SHOWN]:
        what = f"{bad.topic} at {bad.timestamp_ns * 1e-9:.3f} s: {bad.reason}"
        console.print(Text("failed: ", style="red").append(what, style="default"), soft_wrap=True)
    if len(tally.bad) > _SHOWN:
        console.print(Text(f"failed: {len(tally.bad)} images in all were copied without being analysed", style="red"))
