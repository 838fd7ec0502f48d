"""`README.md` of a run's directory: the result so far, how to get it again, and what each file is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

from aue_crl_core.training.directory.history import HISTORY_FILE, read_history
from aue_crl_core.training.directory.paths import BEST_FILE, CONFIG_FILE, RunPaths, read_run, write_text
from aue_crl_core.training.directory.state import STATE_FILE
from aue_crl_core.training.stages import STAGES

OVERVIEW_FILE: Final = "README.md"

FILES: Final = (
    (BEST_FILE, "the furthest finished stage: what `--weights` on this directory means"),
    ("STAGE.safetensors", "the best epoch of a finished stage, chosen on the validation split"),
    ("STAGE.last.safetensors", "its last epoch"),
    ("STAGE.unfinished.safetensors", "the best epoch so far of a stage that is not finished"),
    (STATE_FILE, "what `--resume` needs of it"),
    (HISTORY_FILE, "a row for every epoch: losses, accuracies, recall of each class"),
    ("metrics.parquet", "the same, with types"),
    ("plots/training.png", "losses and accuracies over the epochs"),
    ("plots/recall.png", "recall of each class over the epochs"),
    ("plots/prior.png", "the prior as it was learned, and what changed"),
    ("tensorboard", "the same figures for `tensorboard --logdir`"),
    (CONFIG_FILE, "all settings, for `--config`"),
    ("run.json", "settings, data with hashes, and each call of `train`: command, revision, versions, device, times"),
)

_FIGURES: Final = (
    "Figures are of the validation split, before the calibration that ends a stage (a checkpoint states those after "
    "it); no image of a test split was opened."
)


def write_overview(directory: Path) -> None:
    """Write the overview of the run in `directory` as it now is."""
    about = read_run(directory)
    config = about["config"]
    blocks = [
        f"# Training run: {_network(config)}, {config['vocabulary']} expressions",
        f"{_state(RunPaths(directory), about)} {_FIGURES}",
        _results(directory),
        "## Data\n\n" + _table(("index", "layout", "images by split", "hash"), map(_data_row, about["data"])),
        "## The same again\n\n" + "\n".join(f"    {line}" for line in dict.fromkeys(_commands(directory, about))),
        "## Files\n\n" + _table(("file", "is"), [row for row in FILES if _is_there(directory, row[0])]),
    ]
    write_text(directory / OVERVIEW_FILE, "\n\n".join(filter(None, blocks)) + "\n")


def _network(config: dict[str, Any]) -> str:
    method = config.get("method", "aue_crl")  # not there in runs of before
    return config["model"] if method == "aue_crl" else f"{method} on {config['model']}"


def _state(paths: RunPaths, about: dict[str, Any]) -> str:
    words = [f"Finished stages: {', '.join(paths.finished()) or 'none yet'}."]
    progress = paths.unfinished()
    if progress is not None:
        total = about["config"][progress.stage]["epochs"]
        words.append(f"Stage {progress.stage} has {progress.epoch} of at most {total} epochs; go on with `--resume`.")
    session = (about["sessions"] or [{}])[-1]
    if session.get("outcome") not in (None, "finished"):
        words.append(f"The last call of `train` ended with {' '.join(session['outcome'].split())}.")
    elif session.get("ended") is None:
        words.append("The last call of `train` has not ended: it is running, or it was killed.")
    return " ".join(words)


def _results(directory: Path) -> str:
    """A row for every stage: its best epoch so far."""
    rows = []
    history = read_history(directory / HISTORY_FILE)
    for stage in STAGES:
        epochs = [row for row in history if row["stage"] == stage]
        kept = [row for row in epochs if row.get("since_best") == "0"]
        if kept:
            best = kept[-1]
            percent = (best.get(f"valid/{name}") for name in ("accuracy", "mean_class_accuracy"))
            cells = ["-" if value is None else f"{100 * float(value):.1f} %" for value in percent]
            rows.append((stage, str(len(epochs)), best["epoch"], *cells))
    header = ("stage", "epochs", "best epoch", "accuracy", "mean class accuracy")
    return _table(header, rows) if rows else ""


def _data_row(row: dict[str, Any]) -> tuple[str, ...]:
    counts = ", ".join(f"{split} {count}" for split, count in row["images"].items())
    return row.get("index") or "(not from a file)", row["layout"], counts, row["data_hash"]


def _commands(directory: Path, about: dict[str, Any]) -> list[str]:
    """What trains every stage of this run again, elsewhere."""
    data = [word for row in about["data"] for word in ("--data", row.get("index") or "INDEX")]
    lines = []
    for session in about["sessions"]:
        stages = session["stages"]
        extra = [
            word for name in ("init", "landmarks") if session[name] for word in (f"--{name}", _whole(session, name))
        ]
        for stage in ["all"] if stages == ["expression", "action_unit", "fusion"] else stages:
            words = ["aue-crl", "train", "--stage", stage, "--config", str(directory.resolve() / CONFIG_FILE), *data]
            lines.append(shlex.join([*words, *extra, "--device", session["device"]["device"], "--output", "ELSEWHERE"]))
    return lines


def _whole(session: dict[str, Any], name: str) -> str:
    """A path as it is from anywhere; what names no file stays."""
    path = Path(session["directory"], session[name])
    return str(path) if path.is_file() else session[name]


def _is_there(directory: Path, name: str) -> bool:
    names = [name.replace("STAGE", stage) for stage in STAGES] if "STAGE" in name else [name]
    return any((directory / each).exists() for each in names)


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
