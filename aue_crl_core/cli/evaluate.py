"""`aue-crl evaluate`: weights judged on a split, through the same path as on a robot."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from aue_crl_core.cli.console import err, out
from aue_crl_core.config import require
from aue_crl_core.faces.detection.choice import DetectorName

if TYPE_CHECKING:
    from aue_crl_core.analyzer import FaceAnalyzer
    from aue_crl_core.data.index import DatasetIndex

_EXAMPLES: Final = 3


def command(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER|INDEX]", help="A folder of folders named after expressions, or an index."),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The same, as an option.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Where metrics.json, report.html and the plots go; none: nowhere.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The split to judge on, or all. Without it: test, or all if there is one only.")
    ] = None,
    weights: Annotated[str, typer.Option(help="A shipped name, a file, or a training run's directory.")] = "edge",
    engine: Annotated[str, typer.Option(metavar="onnx|torch|openvino", help="What runs the network.")] = "onnx",
    boxes: Annotated[
        str,
        typer.Option(
            metavar="auto|index|detect",
            help="auto: the dataset's own boxes, else detected; index: also those that prepare found; detect: none.",
        ),
    ] = "auto",
    detector: Annotated[
        DetectorName, typer.Option(help="How faces are found; none: every image is a face crop already.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    root: Annotated[Path | None, typer.Option(help="The images' folder, if it moved since prepare.")] = None,
) -> None:
    """Score weights on a split and write the report; images where no face is found count as errors."""
    from rich.progress import Progress
    from rich.text import Text

    from aue_crl_core.analyzer import FaceAnalyzer
    from aue_crl_core.evaluation.report import terminal_table, write_report
    from aue_crl_core.evaluation.run import evaluate
    from aue_crl_core.evaluation.selection import choose_split, open_data

    given = [path for path in (source, data) if path is not None]
    require(len(given) == 1, "FOLDER or INDEX", "be given once", " and ".join(map(str, given)) or "nothing")
    require(root is None or not given[0].is_dir(), "--root", "be given with an index only", str(root))
    whole = open_data(given[0], root)
    index, scored = choose_split(whole, split)
    console = out()
    for line in _scope(whole, index, scored):
        console.print(Text(line))
    analyzer = FaceAnalyzer.load(weights, engine, device, detector=detector)  # type: ignore[arg-type]
    with Progress(console=err()) as bar:
        task = bar.add_task("faces", total=None)
        result = evaluate(
            analyzer,
            index,
            boxes,  # type: ignore[arg-type]
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    title = f"{weights} on {index.layout} {scored}"
    console.print(terminal_table(result.heads, title, index.layout, result.action_units, scored))
    counted = f"{len(result.problems)} images with a problem (counted as errors)"
    if report is None:
        examples = "".join(f"; {image}: {reason}" for image, reason in result.problems[:_EXAMPLES])
        console.print(Text(f"{counted}{examples}"))
        return
    provenance = _provenance(weights, analyzer, index, scored, boxes)
    metrics = write_report(report, result.heads, title, index.layout, provenance, result.action_units, scored)
    problems = report / "problems.csv"
    with problems.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "reason"))
        writer.writerows(result.problems)
    console.print(Text(f"{counted}: {problems}"))
    console.print(Text(f"report: {metrics.parent}"))


def _scope(whole: DatasetIndex, index: DatasetIndex, scored: str) -> Iterator[str]:
    """What is scored and what is not, where that is not plain from what was asked for."""
    splits = ", ".join(whole.splits())
    if scored not in whole.splits():
        yield f"all {len(index.records)} images are scored, whatever their split ({splits})"
    bare = [record for record in index.records if record.label is None and record.action_units is None]
    if bare:
        why = f": {bare[0].image}: {bare[0].reason}" if bare[0].reason else ""
        yield f"{len(bare)} images without a label take no part{why}"


def _provenance(weights: str, analyzer: FaceAnalyzer, index: DatasetIndex, split: str, boxes: str) -> dict[str, Any]:
    from aue_crl_core import __version__

    return {
        "weights": weights,
        "engine": analyzer.engine.name,
        "device": analyzer.engine.device,
        "detector": analyzer.detector.name,
        "boxes": boxes,
        "layout": index.layout,
        "split": split,
        "data_hash": index.data_hash,
        "version": __version__,
    }
