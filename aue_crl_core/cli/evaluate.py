"""`aue-crl evaluate`: weights judged on a split, through the same path as on a robot."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aue_crl_core.cli.console import err, out

if TYPE_CHECKING:
    from aue_crl_core.analyzer import FaceAnalyzer
    from aue_crl_core.data.index import DatasetIndex


def command(
    data: Annotated[Path, typer.Option("--data", help="An index that prepare wrote.")],
    report: Annotated[Path, typer.Option("--report", help="Where metrics.json, report.md and the plots go.")],
    split: Annotated[str, typer.Option(help="The split to judge on.")] = "test",
    weights: Annotated[str, typer.Option(help="A shipped name, a file, or a training run's directory.")] = "edge",
    engine: Annotated[str, typer.Option(metavar="onnx|torch", help="What runs the network.")] = "onnx",
    boxes: Annotated[
        str,
        typer.Option(
            metavar="auto|index|detect",
            help="auto: the dataset's own boxes, else detected; index: also those that prepare found; detect: none.",
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    root: Annotated[Path | None, typer.Option(help="The images' folder, if it moved since prepare.")] = None,
) -> None:
    """Score weights on a split and write the report; images where no face is found count as errors."""
    from rich.progress import Progress
    from rich.text import Text

    from aue_crl_core.analyzer import FaceAnalyzer
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.evaluation.report import terminal_table, write_report
    from aue_crl_core.evaluation.run import evaluate

    index = DatasetIndex.read(data, root).select(split)
    analyzer = FaceAnalyzer.load(weights, engine, device)  # type: ignore[arg-type]
    console = out()
    with Progress(console=err()) as bar:
        task = bar.add_task("faces", total=None)
        result = evaluate(
            analyzer,
            index,
            boxes,  # type: ignore[arg-type]
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    title = f"{weights} on {index.layout} {split}"
    provenance = _provenance(weights, analyzer, index, split, boxes)
    metrics = write_report(report, result.heads, title, index.layout, provenance, result.action_units, split)
    console.print(terminal_table(result.heads, title, index.layout, result.action_units, split))
    problems = report / "problems.csv"
    with problems.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "reason"))
        writer.writerows(result.problems)
    console.print(Text(f"{len(result.problems)} images with a problem (counted as errors): {problems}"))
    console.print(Text(f"report: {metrics.parent}"))


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
