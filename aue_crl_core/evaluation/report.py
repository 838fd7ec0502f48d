"""The report of an evaluation: tables for terminal and Markdown, `metrics.json` and the plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aue_crl_core.errors import ConfigError
from aue_crl_core.evaluation import published
from aue_crl_core.evaluation.au_metrics import ActionUnitMetrics
from aue_crl_core.evaluation.metrics import ExpressionMetrics
from aue_crl_core.facs import ACTION_UNIT_NAMES
from aue_crl_core.pages.page import Page, Table, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

PRIMARY_HEAD: Final = "fused"
BASELINE_HEAD: Final = "expression"
HEAD_TITLES: Final = {"expression": "expression stage alone", "fused": "fused"}

_ABSENT: Final = "-"
_COUNTING: Final = (
    "Images where no face was found count as errors; the calibration error covers the others only. "
    "A dash stands for a class without images, or for what a source does not tell."
)
_ORIGIN: Final = "Where this comes from"
_NARROW_FROM: Final = 8
"""Columns from which a table is set tight, so that seven classes fit a terminal of 80."""


def primary_head(metrics_by_head: Mapping[str, ExpressionMetrics]) -> str:
    """The head that the report leads with: `fused`, or the only one of a network that is not fused yet.

    Raises:
        ConfigError: no head, several without `fused`, or heads scored on different images or classes.
    """
    heads = list(metrics_by_head)
    if PRIMARY_HEAD not in heads and len(heads) != 1:
        raise ConfigError(f"metrics_by_head must hold {PRIMARY_HEAD!r} or exactly one head, got {heads}")
    primary = PRIMARY_HEAD if PRIMARY_HEAD in heads else heads[0]
    for head, metrics in metrics_by_head.items():
        lead = metrics_by_head[primary]
        if (metrics.classes, metrics.support) != (lead.classes, lead.support):
            raise ConfigError(
                f"all heads must be scored on the same images and classes, got {metrics.classes} with "
                f"{metrics.support} images for {head!r} and {lead.classes} with {lead.support} for {primary!r}"
            )
    return primary


def comparison_note(metrics: ExpressionMetrics | None, protocol: str | None, split: str | None = None) -> str:
    """One line: which protocol was scored, and which published rows stand beside it, or why none do.

    `metrics` None: no image has an expression label.
    """
    if metrics is None:
        return "No image has an expression label: action units only."
    if protocol is None:
        return "No protocol named, none compared."
    ours = f"{protocol}{f', split {split}' if split else ''}, {len(metrics.classes)} classes, {metrics.n} images"
    found = published.find(protocol)
    if found is None:
        return f"Protocol: {ours}. No published results are known here for {protocol!r}: nothing to compare with."
    why = found.difference(metrics.classes, metrics.n, split)
    if why is None:
        return f"Protocol: {found.title} ({ours}). Published rows: {_sources(found)}."
    return (
        f"Protocol: {ours}. Not comparable with the published one ({found.title}): {why}; published rows are not shown."
    )


def absent_note(metrics: ExpressionMetrics | None) -> str:
    """One line about the classes that the data lacks; empty where it lacks none."""
    absent = () if metrics is None else metrics.absent
    if not absent:
        return ""
    present = len(metrics.classes) - len(absent)
    return f"No image of {', '.join(absent)}: mean class accuracy is that of the other {present}."


def terminal_table(
    metrics_by_head: Mapping[str, ExpressionMetrics],
    title: str,
    protocol: str | None = None,
    action_units: ActionUnitMetrics | None = None,
    split: str | None = None,
) -> RenderableType:
    """What `aue-crl evaluate` prints: every head side by side, then published rows where comparable, then AUs.

    Args:
        metrics_by_head: `fused` and `expression` (the ablation: stage one alone), or one head; with `action_units` it
            may be empty.
        title: the heading: which weights on which data.
        protocol: the dataset layout's name; its published rows follow when classes, split and image count are theirs.
        action_units: the result on AU labels, where the data has such.
        split: the index's split that was scored.

    Raises:
        ConfigError: as `primary_head`.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    parts: list[RenderableType] = []
    for table in _tables(metrics_by_head, title, protocol, action_units, split):
        rendered = RichTable(
            title=Text(table.title, style="bold"),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1) if len(table.header) < _NARROW_FROM else 0,
            collapse_padding=True,
        )
        for i, name in enumerate(table.header):
            rendered.add_column(Text(name), justify="right" if i else "left", no_wrap=i == 0)
        for i, row in enumerate(table.rows):
            if row is None:
                rendered.add_section()
            else:
                rendered.add_row(*map(Text, row), style="bold" if i in table.strong else "")
        parts.append(rendered)
    lead = _lead(metrics_by_head, action_units)
    parts += [Text(note) for note in (absent_note(lead),) if note]
    parts.append(Text(comparison_note(lead, protocol, split), style="dim"))
    return Group(*parts)


def write_report(
    directory: Path,
    metrics_by_head: Mapping[str, ExpressionMetrics],
    title: str,
    protocol: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    action_units: ActionUnitMetrics | None = None,
    split: str | None = None,
) -> Path:
    """Write `metrics.json`, `report.html`, `report.md` and the plots as `confusion`, `recall`, `calibration.png`.

    `metrics.json` has the primary head's values (`ExpressionMetrics.to_dict`) at the top level, each head's under
    `heads`, those of AU labels (`ActionUnitMetrics.to_dict`, or null) under `action_units`, and `head`, `title`,
    `protocol`, `split`, `comparison`, `provenance`. Without expression labels there are no plots, and the top level has
    `n` and `n_missed` only.

    Args:
        directory: made if absent; files of an older report are replaced.
        metrics_by_head: as `terminal_table`.
        title: as `terminal_table`.
        protocol: as `terminal_table`.
        provenance: plain JSON values that say where the result comes from: weights, data hash, versions.
        action_units: as `terminal_table`.
        split: as `terminal_table`.

    Returns:
        The path of `metrics.json`.

    Raises:
        ConfigError: as `primary_head`.
        MissingDependencyError: matplotlib is not installed.
    """
    lead = _lead(metrics_by_head, action_units)
    provenance = dict(provenance or {})
    counted = lead or action_units
    result = {
        **(lead.to_dict() if lead else {"n": counted.n, "n_missed": counted.n_missed}),
        "head": primary_head(metrics_by_head) if lead else None,
        "title": title,
        "protocol": protocol,
        "split": split,
        "comparison": comparison_note(lead, protocol, split),
        "provenance": provenance,
        "heads": {head: metrics.to_dict() for head, metrics in metrics_by_head.items()},
        "action_units": action_units.to_dict() if action_units else None,
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "metrics.json"
    path.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    figures = _figures(metrics_by_head, title) if lead else {}
    for name, figure in figures.items():
        figure.savefig(directory / f"{name}.png")
    tables = _tables(metrics_by_head, title, protocol, action_units, split)
    notes = [note for note in (absent_note(lead), comparison_note(lead, protocol, split), _COUNTING) if note]
    write_whole(directory / "report.md", _markdown(title, tables, notes, figures, provenance))
    write_whole(directory / "report.html", _page(title, tables, notes, figures, provenance).html())
    return path


def _figures(metrics_by_head: Mapping[str, ExpressionMetrics], title: str) -> dict[str, Figure]:
    from aue_crl_core.evaluation import plots

    primary = primary_head(metrics_by_head)
    lead = metrics_by_head[primary]
    return {
        "confusion": plots.plot_confusion(lead, f"{title} ({_head_title(primary)})"),
        "recall": plots.plot_recall({_head_title(h): metrics_by_head[h] for h in _ordered(metrics_by_head)}, title),
        "calibration": plots.plot_reliability(lead, f"{title} ({_head_title(primary)})"),
    }


def _lead(
    metrics_by_head: Mapping[str, ExpressionMetrics], action_units: ActionUnitMetrics | None = None
) -> ExpressionMetrics | None:
    """The primary head's metrics; None where there are those of action units only."""
    if not metrics_by_head and action_units is not None:
        return None
    return metrics_by_head[primary_head(metrics_by_head)]


def _tables(
    metrics_by_head: Mapping[str, ExpressionMetrics],
    title: str,
    protocol: str | None,
    action_units: ActionUnitMetrics | None,
    split: str | None,
) -> list[Table]:
    tables = []
    lead = _lead(metrics_by_head, action_units)
    if lead is not None:
        tables.append(_head_table(metrics_by_head, title))
        found = published.find(protocol) if protocol else None
        if found is not None and found.difference(lead.classes, lead.n, split) is None:
            tables.append(_published_table(metrics_by_head, found))
    if action_units is not None:
        tables.append(_unit_table(action_units, f"Action units: {title}" if lead is None else "Action units"))
    return tables


def _unit_table(metrics: ActionUnitMetrics, title: str) -> Table:
    rows: list[tuple[str, ...] | None] = [
        (
            f"AU {u.unit} {ACTION_UNIT_NAMES[u.unit]}",
            str(u.n),
            *map(_percent, (u.base_rate, u.precision, u.recall, u.f1, u.auc)),
        )
        for u in metrics.units
    ]
    means = (_percent(metrics.mean_base_rate), "", "", _percent(metrics.mean_f1), _percent(metrics.mean_auc))
    rows += [
        None,
        ("mean", str(metrics.n), *means),
        None,
        ("no face found (no unit)", str(metrics.n_missed), *[""] * 5),
    ]
    header = ("%", "images", "base rate", "precision", "recall", "F1", "AUC")
    return Table(title, header, tuple(rows), frozenset({len(metrics.units) + 1}))


def _head_table(metrics_by_head: Mapping[str, ExpressionMetrics], title: str) -> Table:
    heads = _ordered(metrics_by_head)
    lead = metrics_by_head[primary_head(metrics_by_head)]
    both = PRIMARY_HEAD in heads and BASELINE_HEAD in heads

    def row(name: str, images: str, values: Mapping[str, float | None]) -> tuple[str, ...]:
        cells = [name, images, *(_percent(values[head]) for head in heads)]
        if both:
            cells.append(_change(values[PRIMARY_HEAD], values[BASELINE_HEAD]))
        return tuple(cells)

    def summary(name: str, images: str, field: str) -> tuple[str, ...]:
        return row(name, images, {head: getattr(metrics_by_head[head], field) for head in heads})

    rows: list[tuple[str, ...] | None] = [
        row(name, str(images), {head: metrics_by_head[head].per_class_recall[name] for head in heads})
        for name, images in zip(lead.classes, lead.support, strict=True)
    ]
    strong = len(rows) + 1
    rows += [
        None,
        summary("mean class accuracy", str(lead.n), "mean_class_accuracy"),
        summary("accuracy", str(lead.n), "accuracy"),
        summary("macro F1", str(lead.n), "macro_f1"),
        summary("calibration error (ECE)", str(lead.n - lead.n_missed), "ece"),
        summary("ECE by chance alone", str(lead.n - lead.n_missed), "ece_by_chance"),
        None,
        ("no face found (errors)", str(lead.n_missed), *[""] * (len(heads) + both)),
    ]
    header = ("recall, %", "images", *map(_head_title, heads), *(["change"] if both else []))
    return Table(title, header, tuple(rows), frozenset({strong}))


def _published_table(metrics_by_head: Mapping[str, ExpressionMetrics], protocol: published.Protocol) -> Table:
    def cells(method: str, recall: Sequence[float | None], *rates: float | None) -> tuple[str, ...]:
        return (method, *(_ABSENT if value is None else f"{value:.1f}" for value in (*recall, *rates)))

    theirs = [
        cells(row.method, row.recall or [None] * len(protocol.classes), row.mean_class_accuracy, row.accuracy)
        for row in protocol.rows
    ]
    ours = []
    for head in _ordered(metrics_by_head):
        metrics = metrics_by_head[head]
        recall = (metrics.per_class_recall[name] for name in protocol.classes)
        percent = [None if rate is None else 100 * rate for rate in recall]
        ours.append(cells(f"our {head}", percent, 100 * metrics.mean_class_accuracy, 100 * metrics.accuracy))
    header = ("recall, %", *protocol.classes, "average", "accuracy")
    told = [i for i in range(len(header)) if any(row[i] != _ABSENT for row in theirs)]
    rows = [tuple(row[i] for i in told) for row in (*theirs, *ours)]
    return Table(
        f"Beside published results: {protocol.title}",
        tuple(header[i] for i in told),
        (*rows[: len(theirs)], None, *rows[len(theirs) :]),
        frozenset({len(rows)}),
    )


def _markdown(
    title: str,
    tables: Sequence[Table],
    notes: Sequence[str],
    figures: Mapping[str, Figure],
    provenance: Mapping[str, Any],
) -> str:
    blocks = [f"# {title}"]
    for i, table in enumerate(tables):
        blocks += [f"## {table.title}"] if i else []
        lines = [_line(table.header), _line(["---", *["---:"] * (len(table.header) - 1)])]
        for j, row in enumerate(table.rows):
            if row is not None:
                lines.append(_line([f"**{cell}**" if cell and j in table.strong else cell for cell in row]))
        blocks.append("\n".join(lines))
    blocks += [*notes, *(f"![{name}]({name}.png)" for name in figures)]
    if provenance:
        items = "\n".join(f"- {key}: `{value}`" for key, value in provenance.items())
        blocks.append(f"## {_ORIGIN}\n\n{items}")
    return "\n\n".join(blocks) + "\n"


def _page(
    title: str,
    tables: Sequence[Table],
    notes: Sequence[str],
    figures: Mapping[str, Figure],
    provenance: Mapping[str, Any],
) -> Page:
    page = Page(title)
    for i, table in enumerate(tables):
        if i:
            page.heading(table.title)
        page.table(table)
    for note in notes:
        page.text(note, soft=True)
    for name, figure in figures.items():
        page.figure(figure, name)
    if provenance:
        page.heading(_ORIGIN)
        page.table(Table(_ORIGIN, ("", ""), tuple((key, str(value)) for key, value in provenance.items())))
    return page


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ordered(metrics_by_head: Mapping[str, ExpressionMetrics]) -> list[str]:
    return sorted(metrics_by_head, key=lambda head: head == primary_head(metrics_by_head))


def _head_title(head: str) -> str:
    return HEAD_TITLES.get(head, head)


def _percent(value: float | None) -> str:
    return _ABSENT if value is None else f"{100 * value:.1f}"


def _change(ours: float | None, baseline: float | None) -> str:
    return _ABSENT if ours is None or baseline is None else f"{100 * (ours - baseline):+.1f}"


def _sources(protocol: published.Protocol) -> str:
    return "; ".join(dict.fromkeys(row.source for row in protocol.rows))
