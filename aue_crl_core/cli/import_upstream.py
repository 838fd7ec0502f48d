"""`aue-crl import-upstream`: a checkpoint of the authors' code becomes one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aue_crl_core.cli.console import out
from aue_crl_core.config import require
from aue_crl_core.errors import training_imports

if TYPE_CHECKING:
    from aue_crl_core.checkpoint.upstream import ImportReport
    from aue_crl_core.config import ModelConfig

CROPS = ("box", "points")
_NEXT = {"expression": "action_unit", "action_unit": "fusion"}


def command(
    checkpoint: Annotated[Path, typer.Argument(metavar="X.pkl", help="A state dict that the authors' main.py saved.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write (.safetensors).")],
    crop: Annotated[
        str,
        typer.Option(
            metavar="|".join(CROPS),
            help="What its faces were cut around: boxes (RAF-DB, ExpW) or face points (SFEW, MMI, BP4D).",
        ),
    ] = "box",
    landmarks: Annotated[str, typer.Option(help="The checkpoint whose landmark net to add: theirs has none.")] = "edge",
    partial: Annotated[
        bool, typer.Option("--partial", help="Give random weights to parts that the file lacks, to train them.")
    ] = False,
) -> None:
    """Turn X.pkl, read as tensors only, into a checkpoint for run, evaluate, export and train --init."""
    require(crop in CROPS, "--crop", f"be one of {', '.join(CROPS)}", crop)
    require(output.suffix == ".safetensors", "--output", "end in .safetensors", output.name)
    with training_imports("import-upstream"):
        from aue_crl_core.checkpoint.upstream import import_upstream, save_imported
    from aue_crl_core.engines import find_weights

    points = find_weights(landmarks, "torch")
    state, config, report = import_upstream(checkpoint, crop=crop, partial=partial)  # type: ignore[arg-type]
    save_imported(output, state, config, report, points)
    console = out()
    for line in summary(config, report):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(f"{output}: {output.stat().st_size / 1e6:.1f} MB", soft_wrap=True, highlight=False, markup=False)


def summary(config: ModelConfig, report: ImportReport) -> list[str]:
    """What was read, what was left out and what to know before use, one line each."""
    lines = [
        f"{config.vocabulary}, {len(config.expressions)} classes, fusion dimension {config.fusion_dim}, "
        f"{config.attention} attention; {report.used} tensors taken",
        f"trained up to stage: {report.stage or 'unknown (no counters of batches in the file)'}",
    ]
    if report.unused:
        lines.append(f"left out, no output depends on them: {', '.join(report.unused)}")
    if report.unknown:
        lines.append(f"warning: left out, not in the authors' published network: {', '.join(report.unknown)}")
    if report.fresh:
        lines.append(f"warning: random weights, because the file has none: {', '.join(report.fresh)}")
    if report.clamped:
        lines.append(f"prior: {report.clamped} entries moved into their range, as their forward pass does")
    if report.stage in _NEXT:
        lines.append(
            f"warning: later parts are untrained: go on with aue-crl train --stage {_NEXT[report.stage]} --init"
        )
    return lines
