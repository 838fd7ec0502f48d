"""The report of a comparison: tables for terminal and Markdown, `results.csv`, `compare.png`."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from aue_crl_core.comparison.plot import plot_comparison
from aue_crl_core.comparison.predictions import Predictions
from aue_crl_core.comparison.results import BASELINE, MethodResult, Spread
from aue_crl_core.evaluation import published
from aue_crl_core.evaluation.bootstrap import LEVEL, RESAMPLES

_ABSENT: Final = "-"
_PUBLISHED: Final = {"raf-db": "RAF-DB", "sfew": "SFEW"}

PROTOCOLS_DIFFER: Final = (
    "Published figures are mean class accuracies (recall per class below) on RAF-DB and SFEW 2.0 as their papers and "
    "Pu et al. (ICRA 2021) list them: other trunks, crops, training sets and test faces. They stand here to be looked "
    "at, not to be compared with."
)
SPREAD_NOTE: Final = (
    "Rates are in %: mean and standard deviation over the seeds. Against "
    f"{BASELINE}: difference of accuracy in points with its {LEVEL:.0%} interval, and the two-sided p value of a "
    f"paired bootstrap over the test faces ({RESAMPLES} draws; a face counts with the share of seeds that are right "
    "about it). The interval says how far the choice of faces matters, not that of seeds, and p is not corrected for "
    "the number of methods."
)


class Table(NamedTuple):
    """Cells as text; the first column names the row, the others hold figures, unless they are `words`."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


def tables(results: Sequence[MethodResult], about: Mapping[str, Any]) -> list[Table]:
    """What the terminal gets: accuracies, recall per class, costs, and what failed, where anything did."""
    found = [_accuracies(results), _recall(results), _by_data(results), _costs(results, about["milliseconds"])]
    found.append(Table("Failed", ("run", "reason"), tuple(about["failed"].items()), words=True))
    return [table for table in found if table.rows]


def write_report(directory: Path, results: Sequence[MethodResult], about: Mapping[str, Any]) -> Path:
    """Write `report.md`, `results.csv` and `compare.png` into `directory`; returns the first.

    `about`: what `comparison.json` says.
    """
    _write_csv(directory / "results.csv", results, about["milliseconds"])
    title = _title(results, about)
    plot_comparison(results, title).savefig(directory / "compare.png")
    accuracies, *others = tables(results, about)
    blocks = [f"# {title}", _conditions(results, about), "![compare](compare.png)", _markdown(accuracies)]
    blocks += [SPREAD_NOTE, PROTOCOLS_DIFFER]
    for table in (*others, _runs(results)):
        blocks += [f"## {table.title}", _markdown(table)]
    file = directory / "report.md"
    file.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return file


def _title(results: Sequence[MethodResult], about: Mapping[str, Any]) -> str:
    faces, split = len(results[0].runs[0].labels), about["split"]
    return f"Methods on one trunk, {about['config']['model']}: {faces} faces of the split {split}"


def _conditions(results: Sequence[MethodResult], about: Mapping[str, Any]) -> str:
    """What all runs share, and where one of several stages differs."""
    first = results[0].runs[0]
    faces = ", ".join(f"{count} of {layout}" for layout, count in Counter(first.data).items())
    trained = ", ".join(f"{row['layout']} ({row['images'].get('train', 0)})" for row in about["data"])
    total = sum(first.about.epochs.values())
    lines = [
        f"Trunk, start ({first.about.start}), data, crops, augmentation, schedule and number of epochs ({total} in "
        f"all) are the same for every method. Trained on {trained}; the epoch of each run was chosen on the validation "
        f"split, and only then was the split `{about['split']}` opened: {faces}, those that are usable and labelled. "
        "All settings: `comparison.json`.",
    ]
    for result in results:
        epochs, start = result.runs[0].about.epochs, result.runs[0].about.start
        if start != first.about.start:
            lines.append(f"{result.title}, which has a trunk of its own, starts from {start}.")
        if len(epochs) > 1:
            shares = ", ".join(f"{stage} {count}" for stage, count in epochs.items())
            lines.append(f"{result.title} shares its {sum(epochs.values())} epochs among its stages: {shares}.")
    return " ".join(lines)


def _accuracies(results: Sequence[MethodResult]) -> Table:
    header = ("method", "seeds", "accuracy", "mean class", f"against {BASELINE}", "p", *_published_names())
    rows = [
        (
            result.title,
            str(len(result.runs)),
            _percent(result.accuracy),
            _percent(result.mean_class_accuracy),
            *_difference(result),
            *(_ABSENT if row is None else _number(row.mean_class_accuracy) for row in _published(result)),
        )
        for result in results
    ]
    return Table("Accuracy", header, tuple(rows))


def _difference(result: MethodResult) -> tuple[str, str]:
    found = result.against
    if found is None:
        return _ABSENT, _ABSENT
    p = "<0.001" if found.p < 0.001 else f"{found.p:.3f}"
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]", p


def _recall(results: Sequence[MethodResult]) -> Table:
    """Here, and below that as published."""
    classes = results[0].runs[0].classes
    rows: list[tuple[str, ...]] = []
    for result in results:
        rows.append((result.title, *map(_percent, result.recall.values())))
        for name, protocol in zip(_PUBLISHED.values(), map(published.find, _PUBLISHED), strict=True):
            row = next((r for r in protocol.rows if r.method == result.title), None)  # type: ignore[union-attr]
            if row is not None and row.recall is not None:
                known = dict(zip(protocol.classes, row.recall, strict=True))  # type: ignore[union-attr]
                rows.append((f"  published, {name}", *(_number(known.get(c)) for c in classes)))
    return Table("Recall per class", ("recall, %", *classes), tuple(rows))


def _by_data(results: Sequence[MethodResult]) -> Table:
    """Where the test faces are of several indices."""
    parts = tuple(dict.fromkeys(results[0].runs[0].data))
    rows = [(result.title, *(_percent(result.accuracy_on(part)) for part in parts)) for result in results]
    return Table("Accuracy by data set", ("method", *parts), tuple(rows) if len(parts) > 1 else ())


def _costs(results: Sequence[MethodResult], milliseconds: Mapping[str, float]) -> Table:
    rows = []
    for result in results:
        about = result.runs[0].about
        taken = milliseconds.get(result.method)
        minutes = Spread([run.about.seconds / 60 for run in result.runs]).mean
        rows.append(
            (
                result.title,
                f"{about.parameters / 1e6:.2f}",
                f"{about.multiply_adds / 1e6:.1f}",
                _ABSENT if taken is None else f"{taken:.2f}",
                f"{minutes:.1f}",
            )
        )
    header = ("method", "M parameters", "M multiply-adds", "ms a face", "min of training")
    return Table("Cost of one face", header, tuple(rows))


def _runs(results: Sequence[MethodResult]) -> Table:
    header = ("run", "epochs", "kept", "valid: accuracy", "mean class", "test: accuracy", "mean class")
    rows = []
    for result in results:
        for run, metrics in zip(result.runs, result.metrics, strict=True):
            about = run.about
            rates = (about.valid["accuracy"], about.valid["mean_class_accuracy"])
            rows.append(
                (
                    f"{result.title}, seed {about.seed}",
                    " + ".join(map(str, about.epochs.values())),
                    " + ".join(map(str, about.kept.values())),
                    *(f"{100 * rate:.1f}" for rate in (*rates, metrics.accuracy, metrics.mean_class_accuracy)),
                )
            )
    return Table("Runs", header, tuple(rows))


def _write_csv(path: Path, results: Sequence[MethodResult], milliseconds: Mapping[str, float]) -> None:
    """A row for every run, then the mean and the deviation of every method, whose `seed` says so; rates in [0, 1]."""
    rows = [row for result in results for row in _csv_rows(result, milliseconds.get(result.method))]
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def _csv_rows(result: MethodResult, milliseconds: float | None) -> Iterator[dict[str, Any]]:
    each = []
    for run, metrics in zip(result.runs, result.metrics, strict=True):
        figures = {name: getattr(metrics, name) for name in ("accuracy", "mean_class_accuracy", "macro_f1", "ece")}
        figures |= {f"recall/{name}": rate for name, rate in metrics.per_class_recall.items()}
        figures |= {f"valid/{name}": run.about.valid[name] for name in ("accuracy", "mean_class_accuracy")}
        each.append(figures | {"seconds": run.about.seconds})
        yield {"method": result.method, "seed": run.about.seed, **_run_facts(run), **each[-1]}
    whole: dict[str, Any] = {"milliseconds": milliseconds}
    if result.against is not None:
        whole |= {f"against_{BASELINE}/{name}": value for name, value in result.against._asdict().items()}
    spreads = {name: Spread([row[name] for row in each]) for name, value in each[0].items() if value is not None}
    means = {name: spread.mean for name, spread in spreads.items()}
    yield {"method": result.method, "seed": "mean", **_run_facts(result.runs[0]), **means, **whole}
    yield {"method": result.method, "seed": "deviation", **{name: s.deviation for name, s in spreads.items()}}


def _run_facts(run: Predictions) -> dict[str, Any]:
    about = run.about
    return {
        "epochs": sum(about.epochs.values()),
        "parameters": about.parameters,
        "multiply_adds": about.multiply_adds,
    }


def _published(result: MethodResult) -> list[published.PublishedRow | None]:
    """The method's row of each of `_PUBLISHED`."""
    rows = (published.rows_for(name) for name in _PUBLISHED)
    return [next((row for row in known if row.method == result.title), None) for known in rows]


def _published_names() -> tuple[str, ...]:
    return tuple(f"{name}, published" for name in _PUBLISHED.values())


def _percent(spread: Spread | None) -> str:
    if spread is None:
        return _ABSENT
    return f"{100 * spread.mean:.1f}" + ("" if spread.deviation is None else f" ± {100 * spread.deviation:.1f}")


def _number(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.1f}"


def _markdown(table: Table) -> str:
    rules = ("---", *["---" if table.words else "---:"] * (len(table.header) - 1))
    rows = ([cell.replace("|", "\\|") for cell in row] for row in (table.header, rules, *table.rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
