"""`aue-crl prepare`: a dataset on disk becomes an index."""

from __future__ import annotations

import csv
import importlib.util
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aue_crl_core.cli.console import err, out, plain_table
from aue_crl_core.config import require

if TYPE_CHECKING:
    from rich.console import Console

    from aue_crl_core.data.prepare import FinderFactory, PrepareReport

FINDERS: Final = ("auto", "mediapipe", "own", "none")
_SHOWN_REASONS: Final = 12


def command(
    layout: Annotated[
        str, typer.Argument(help="How the dataset lies on disk: ferplus, raf-db, raf-db-compound, folder.")
    ],
    root: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The index to write (.parquet).")],
    finder: Annotated[
        str,
        typer.Option(
            metavar="|".join(FINDERS),
            help="What finds face points: auto is mediapipe if installed, else own (the shipped landmark net).",
        ),
    ] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that look for faces.")] = 1,
) -> None:
    """Read a dataset, find faces and their points, and write an index for train and evaluate.

    Interrupted, it goes on where it stopped. Images that cannot be used are listed in full beside the index.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from aue_crl_core.data.prepare import prepare

    require(finder in FINDERS, "--finder", f"be one of {', '.join(FINDERS)}", finder)
    require(workers >= 1, "--workers", "be at least 1", workers)
    require(output.suffix == ".parquet", "--output", "end in .parquet", str(output))
    chosen = choose_finder(finder)
    console = out()
    name = "none" if chosen is None else chosen.name
    console.print(f"face points: {name}" + (" (mediapipe is not installed)" if name != finder == "auto" else ""))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err()) as bar:
        task = bar.add_task("faces", total=None)
        report = prepare(
            layout,
            root,
            output,
            chosen,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    problems = write_problems(output, report.problems)
    _show(console, report, output, problems)


def choose_finder(name: str) -> FinderFactory | None:
    """The factory behind `--finder NAME`; the finder classes are their own, so worker processes can make one each."""
    from aue_crl_core.data.finders import MediapipeFinder, OwnFinder

    if name == "auto":
        name = "mediapipe" if importlib.util.find_spec("mediapipe") else "own"
    return {"mediapipe": MediapipeFinder, "own": OwnFinder, "none": None}[name]


def write_problems(index: Path, problems: Sequence[tuple[str, str]]) -> Path:
    """All problems as `INDEX.problems.csv` (image, reason) beside the index; only the heading where there are none."""
    path = index.with_name(index.stem + ".problems.csv")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "reason"))
        writer.writerows(problems)
    return path


def grouped(report: PrepareReport) -> Counter[str]:
    """Reason -> images, the image's own name taken out of each reason."""
    root = report.index.root
    return Counter(reason.replace(str(root / image), "the image") for image, reason in report.problems)


def _show(console: Console, report: PrepareReport, output: Path, problems: Path) -> None:
    from rich.text import Text

    records = report.index.records
    table = plain_table("split", ">images", ">usable", ">with points")
    table.title = Text(f"{output} ({report.index.layout}, {report.index.vocabulary})")
    for split in [*report.index.splits(), "all"]:
        rows = [r for r in records if split in (r.split, "all")]
        counts = (len(rows), sum(r.usable for r in rows), sum(r.points is not None for r in rows))
        table.add_row(Text(split), *map(str, counts), style="bold" if split == "all" else "")
    console.print(table)
    console.print(f"{report.from_cache} images were taken from an earlier run's results")
    reasons = grouped(report)
    if not reasons:
        console.print("no problems")
        return
    listing = plain_table(">images", "reason", title=f"{len(report.problems)} images with a problem")
    for reason, count in reasons.most_common(_SHOWN_REASONS):
        listing.add_row(str(count), Text(reason))
    if len(reasons) > _SHOWN_REASONS:
        rest = sum(count for _, count in reasons.most_common()[_SHOWN_REASONS:])
        listing.add_row(str(rest), f"{len(reasons) - _SHOWN_REASONS} more reasons")
    console.print(listing)
    console.print(Text(f"all of them: {problems}"))
