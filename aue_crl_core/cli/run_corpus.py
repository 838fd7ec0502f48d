"""`aue-crl run --workers`: many films into a folder of Parquet files, with one bar and a table of what failed."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from aue_crl_core.cli import console as screen
from aue_crl_core.config import require
from aue_crl_core.corpus.part import RUN_FOLDER, CorpusSettings, Outcome, finished
from aue_crl_core.corpus.workers import process_files
from aue_crl_core.errors import ConfigError
from aue_crl_core.media.reading.sources import CameraSource, FrameSource, SourceProblem
from aue_crl_core.media.writing.layout import require_pyarrow
from aue_crl_core.media.writing.sinks import TABLE_SUFFIXES

FAILURES: Final = "failed.csv"
_SHOWN: Final = 20
_INTERRUPTED: Final = 130


def run_corpus(
    sources: Sequence[FrameSource],
    problems: Sequence[SourceProblem],
    settings: CorpusSettings,
    out_dir: Path | None,
    workers: int,
) -> int:
    """Read every file that is not read yet, and say what became of all; the command's exit code.

    Raises:
        ConfigError: no folder to write into, or a source that is no file.
    """
    wrong = out_dir is None or out_dir.suffix.lower() in TABLE_SUFFIXES or out_dir.is_file()
    require(not wrong, "--output", "be a folder beside --workers", None if out_dir is None else str(out_dir))
    endless = next((s.name for s in sources if isinstance(s, CameraSource) or "://" in s.name), None)
    require(endless is None, "--workers", "be of files, without cameras and streams", endless)
    require_pyarrow("writing Parquet")
    try:
        (out_dir / RUN_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output {out_dir} cannot be written: {error.strerror or error}") from error
    paths = list(dict.fromkeys(source.name for source in sources))
    there = {path: done for path in paths if (done := finished(path, settings, out_dir)) is not None}
    waiting = [path for path in paths if path not in there]
    began, fresh, interrupted = time.monotonic(), [], False
    errors = screen.err()
    with _progress(errors) as progress:
        sizes = {path: _size(path) for path in waiting}
        task = progress.add_task("", total=sum(sizes.values()), films=f"0/{len(waiting)}", failed="")
        try:
            for outcome in process_files(waiting, settings, out_dir, workers):
                fresh.append(outcome)
                failed = sum(bool(done.problem) for done in fresh)
                films = f"{len(fresh)}/{len(waiting)}"
                said = f"{failed} failed" if failed else ""
                progress.update(task, advance=sizes[outcome.source], films=films, failed=said)
        except KeyboardInterrupt:
            interrupted = True
    missing = [Outcome(problem.argument, problem=problem.message) for problem in problems if problem.is_error]
    failures = [done for done in (*missing, *there.values(), *fresh) if done.problem]
    _write_failures(out_dir / RUN_FOLDER / FAILURES, failures)
    skipped = [problem.message for problem in problems if not problem.is_error]
    _print_notes(errors, [*skipped, *(note for done in fresh for note in done.notes)], out_dir)
    _print_failures(errors, failures, out_dir)
    _print_summary(screen.out(), fresh, len(there), len(failures), time.monotonic() - began, out_dir)
    if interrupted:
        errors.print("stopped; the same command goes on from here")
        return _INTERRUPTED
    return 1 if failures else 0


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:  # gone since it was listed
        return 0


class _TimeLeft(ProgressColumn):
    """At the rate of the whole run: films end minutes apart, and rich's own looks at the last ones only."""

    def render(self, task: Task) -> Text:
        if not task.completed or task.total is None or task.elapsed is None:
            return Text("-:--:--", style="progress.remaining")
        seconds = task.elapsed * (task.total - task.completed) / task.completed
        return Text(str(timedelta(seconds=round(seconds))), style="progress.remaining")


def _progress(console: Console) -> Progress:
    """By bytes, the one measure of how long a film is that takes no opening."""
    return Progress(
        TextColumn("{task.fields[films]} files"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        _TimeLeft(),
        TextColumn("{task.fields[failed]}", style="red"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _write_failures(path: Path, failures: Sequence[Outcome]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["source", "frames", "problem"])
        table.writerows([done.source, done.frames, done.problem] for done in failures)


def _print_notes(console: Console, notes: Sequence[str], out_dir: Path) -> None:
    for note in notes[:_SHOWN]:
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)
    if len(notes) > _SHOWN:
        more = f"... and {len(notes) - _SHOWN} notes more, in the files' records: {out_dir / RUN_FOLDER}/*.json"
        console.print(Text(more, style="dim"), soft_wrap=True)


def _print_failures(console: Console, failures: Sequence[Outcome], out_dir: Path) -> None:
    if not failures:
        return
    table = screen.plain_table("failed", ">frames read", "problem")
    for done in failures[:_SHOWN]:
        table.add_row(Path(done.source).name, str(done.frames), done.problem)
    console.print(table)
    where = out_dir / RUN_FOLDER / FAILURES
    console.print(
        Text(
            f"{len(failures)} failed, all of them in {where}; files of which nothing was read are tried again next time"
        ),
        soft_wrap=True,
    )


def _print_summary(
    console: Console, fresh: Sequence[Outcome], there: int, failed: int, seconds: float, out_dir: Path
) -> None:
    frames, faces = sum(done.frames for done in fresh), sum(done.faces for done in fresh)
    rate = frames / seconds if seconds > 0 else 0.0
    console.print(
        Text(f"files: {sum(done.frames > 0 for done in fresh)} read", style="bold")
        .append(f", {there} there already, {failed} failed; ", style="not bold")
        .append(f"{frames} frames in {seconds:.1f} s ({rate:.1f} a second), {faces} faces", style="not bold")
    )
    console.print(Text(f"written: {out_dir}"), soft_wrap=True)
