"""`aue-crl compare`: methods side by side under equal conditions, and the report of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Final, get_args

import typer
from rich.text import Text

from aue_crl_core.cli.console import out, plain_table
from aue_crl_core.cli.train import MODELS, configure
from aue_crl_core.config import MethodName, from_dict, require
from aue_crl_core.engines import find_weights
from aue_crl_core.engines.processor import processors
from aue_crl_core.errors import training_imports

METHODS: Final = get_args(MethodName)


def command(
    output: Annotated[Path, typer.Option("--output", "-o", help="The comparison's directory.")],
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="An index that prepare wrote; may be given several times.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help=f"Of {', '.join(METHODS)}. Default: all.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="|".join(MODELS), help="The trunk. Default: the config's, else edge.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of every method.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(help="Of every run in all. Default: those of the config's stage expression.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings for all runs, see config/train.")] = None,
    init: Annotated[
        str | None, typer.Option(metavar="imagenet", help="Start every trunk from torchvision's ImageNet weights.")
    ] = None,
    split: Annotated[str, typer.Option(help="What is reported on; opened when a run has chosen its epoch.")] = "test",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    jobs: Annotated[
        int, typer.Option(help="Runs at once, which share the processors (on cuda as loaders of images).")
    ] = 1,
    timed: Annotated[
        bool, typer.Option("--time", help="Measure milliseconds a face of each method, in onnxruntime on one thread.")
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Train nothing: report on what is finished, from its predictions.")
    ] = False,
) -> None:
    """Train several methods with several seeds on the same data and trunk, and compare them on a test split.

    Again with the same options it goes on: finished runs are skipped, an interrupted one is resumed, one that failed
    is tried again; more methods or seeds may be added. DIR gets report.md, results.csv, compare.png and the predictions
    of every run.
    """
    with training_imports("comparing"):
        from aue_crl_core.cli.comparison_progress import ComparisonProgress
        from aue_crl_core.comparison.plan import check_split, open_comparison, trials
        from aue_crl_core.comparison.pool import run_all
        from aue_crl_core.data.index import DatasetIndex
        from aue_crl_core.methods import METHODS as TABLE
        from aue_crl_core.training.directory.lock import locked
        from aue_crl_core.training.run import check_device

    if report_only:
        _report(output, timed)
        return
    names = [name.strip() for name in methods.split(",")] if methods else list(TABLE)
    unknown = [name for name in names if name not in TABLE]
    require(not unknown, "--methods", f"be among {', '.join(TABLE)}", unknown)
    require(bool(data), "--data", "be given (but for --report-only)", "nothing")
    require(jobs >= 1, "--jobs", "be at least 1", jobs)
    require(init in (None, "imagenet"), "--init", "be imagenet", init)
    check_device(device)
    indices = [DatasetIndex.read(path) for path in data or []]
    check_split(indices, split)
    settings = configure(config, indices, None, model=model, batch_size=batch_size)
    if device.startswith("cuda"):
        settings = dataclasses.replace(settings, workers=-(-processors() // jobs))  # rounded up
    total = settings.expression.epochs if epochs is None else epochs
    landmarks = find_weights("edge", "torch")
    planned = trials(output, settings, names, seeds, total, split, init, landmarks=landmarks, device=device)
    left = [trial for trial in planned if not trial.done]
    with locked(output):
        open_comparison(output, settings, indices, {name: TABLE[name].title for name in names}, total, split, init)
        with ComparisonProgress(out(), output, planned) as progress:
            progress.say(
                f"{len(planned)} runs of {total} epochs on {device}, {jobs} at once: "
                f"{len(planned) - len(left)} finished before; output: {output}"
            )
            run_all(left, indices, jobs, progress)
        _report(output, timed)
    if progress.failed:
        raise typer.Exit(1)


def _report(output: Path, timed: bool) -> None:
    from aue_crl_core.comparison.plan import PLAN_FILE, read_comparison, write_comparison
    from aue_crl_core.comparison.report import tables, write_report
    from aue_crl_core.comparison.results import read_results
    from aue_crl_core.training.config import TrainConfig

    about = read_comparison(output)
    results = read_results(output, about["methods"])
    if timed:
        from aue_crl_core.comparison.timing import milliseconds

        for result in results:
            settings = from_dict(TrainConfig, {**about["config"], "method": result.method}, PLAN_FILE)
            about["milliseconds"][result.method] = milliseconds(settings.network())
        write_comparison(output, about)
    report = write_report(output, results, about)
    console = out()
    for table in tables(results, about):
        side = "" if table.words else ">"
        drawn = plain_table(table.header[0], *(f"{side}{name}" for name in table.header[1:]), title=table.title)
        for row in table.rows:
            drawn.add_row(*map(Text, row))
        console.print(drawn)
    console.print(Text(f"report: {report}"))
