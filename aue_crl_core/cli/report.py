"""`aue-crl report`: what a run, or a bag, found, as a page for people and tables for their programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from aue_crl_core.cli.console import err, out
from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_core.recordings.reading import TABLES, read_recording

if TYPE_CHECKING:
    from aue_crl_core.recordings.recording import Recording


def command(
    rows: Annotated[
        Path, typer.Argument(metavar="ROWS|BAG", help="A .jsonl, .csv or .parquet file of aue-crl run, or a bag.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page, .html.")],
    film: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The film of these rows, where it is not where it was.")
    ] = None,
    pixels: Annotated[
        bool | None,
        typer.Option("--pixels/--no-pixels", help="Show faces; default: unless the rows are those of run --private."),
    ] = None,
    openface: Annotated[
        bool, typer.Option("--openface", help="Write a table with OpenFace's column names (AU12_r, AU12_c) too.")
    ] = False,
) -> None:
    """Write one page of what was found (timelines, shares, events), tidy tables and ELAN files beside it.

    The page needs no network and shows faces at their peaks where the film is found; --no-pixels leaves them out. Of
    rows without face points, as run --private writes them, it shows none unless --pixels asks for them.
    In the tables of --openface AU12_c is 1 from a probability of 0.5 on, and AU12_r the intensity, where the rows tell
    it: 0 to 5 as OpenFace's, but not on its scale.
    """
    from aue_crl_core.recordings.page import WITHHELD
    from aue_crl_core.recordings.report import write_report

    recording = _read(rows)
    if recording.private and pixels is None:
        err().print(Text(f"note: {WITHHELD}", style="dim"), soft_wrap=True)
    for path in write_report(recording, output, film=film, pixels=pixels, openface=openface):
        out().print(Text(f"written: {path}"), soft_wrap=True)


def _read(rows: Path) -> Recording:
    if rows.suffix.lower() in TABLES or not rows.exists():
        return read_recording(rows)
    try:
        import rosbags as _  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("rosbags", "bags", "a ROS bag", import_failure(error, "rosbags")) from error
    from aue_crl_ros.bags.recording import read_bag

    return read_bag(rows)
