"""`aue-crl demo`: the whole path on a photograph that a dependency brings, so nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.cli import console as screen
from aue_crl_core.engines import EngineName
from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_core.media.drawing.overlay import draw_overlay
from aue_crl_core.media.reading.pixels import load_image, save_image

OVERLAY_NAME: Final = "aue-crl-demo.jpg"
CREDIT: Final = "Grace Hopper, a US Navy photograph in the public domain, from matplotlib's sample data"


def photograph_path() -> Path:
    """The demo photograph: a colour portrait of Grace Hopper, 512x600 px.

    Raises:
        MissingDependencyError: matplotlib, which brings it, is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        reason = import_failure(error, "matplotlib")
        raise MissingDependencyError("matplotlib", "demo", "the demo photograph", reason) from error
    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help=f"The folder that gets {OVERLAY_NAME}.")
    ] = Path("."),
    weights: Annotated[
        str, typer.Option("--weights", "-w", help="A shipped name, a file, or a training run's folder.")
    ] = "edge",
    engine: Annotated[EngineName, typer.Option(help="What runs the networks.")] = "onnx",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Recognise the face in a photograph that is already on this machine.

    Prints all expressions and the likeliest action units, and writes the picture with both drawn in.
    """
    photograph = load_image(photograph_path())
    faces = FaceAnalyzer.load(weights, engine, device)(photograph)
    console = screen.out()
    console.print(f"Photograph: {CREDIT}.", soft_wrap=True)
    if not faces:
        console.print("No face was found: something is wrong; aue-crl doctor says what works.", style="red")
    for face in faces:
        console.print(screen.face_line(face))
        console.print(screen.face_details(face, console))
    target = output / OVERLAY_NAME
    save_image(target, draw_overlay(photograph, faces))
    console.print(Text(f"Written: {target}"), soft_wrap=True)
    console.print("Your own: aue-crl run IMAGE|FOLDER|VIDEO|0 --output faces.jsonl --overlay overlays/", style="dim")
    if not faces:
        raise typer.Exit(1)
