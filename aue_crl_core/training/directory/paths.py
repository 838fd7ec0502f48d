"""The directory of a training run: what lies where, and whether it is the same run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aue_crl_core.config import from_dict
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import ConfigError, TrainingError
from aue_crl_core.training.config import StageName, TrainConfig, write_config
from aue_crl_core.training.directory.state import Progress, read_progress
from aue_crl_core.training.stages import STAGES
from aue_crl_core.whole_file import whole_file

RUN_FILE: Final = "run.json"
CONFIG_FILE: Final = "config.yaml"
CACHE_FOLDER: Final = "features"
BEST_FILE: Final = "best.safetensors"
"""The furthest finished stage's best epoch, under the name that `--weights DIR` looks for."""


@dataclass(frozen=True)
class RunPaths:
    """The files of a run directory."""

    directory: Path

    @property
    def cache(self) -> Path:
        """The feature caches of a stage that is running, unless the run names another place."""
        return self.directory / CACHE_FOLDER

    def checkpoint(self, stage: StageName) -> Path:
        """The best epoch of a finished stage."""
        return self.directory / f"{stage}.safetensors"

    def last(self, stage: StageName) -> Path:
        """The last epoch of a finished stage."""
        return self.directory / f"{stage}.last.safetensors"

    def candidate(self, stage: StageName) -> Path:
        """The best epoch so far of a stage that is still running."""
        return self.directory / f"{stage}.unfinished.safetensors"

    def finished(self) -> list[StageName]:
        """The stages that are done, in order."""
        return [stage for stage in STAGES if self.checkpoint(stage).is_file()]

    def unfinished(self) -> Progress | None:
        """The progress of the stage that was interrupted, if there is one."""
        progress = read_progress(self.directory)
        return None if progress is None or progress.stage in self.finished() else progress

    def refresh_best(self) -> None:
        """Bring `best.safetensors` up to the furthest finished stage, if it is older than that."""
        best, furthest = self.directory / BEST_FILE, self.checkpoint(self.finished()[-1])
        if is_current(best, furthest):
            return
        with whole_file(best) as part:
            shutil.copyfile(furthest, part)


def is_current(made: Path, checkpoint: Path) -> bool:
    """Whether a file that is made of a checkpoint is there, and not older than it."""
    return made.is_file() and made.stat().st_mtime_ns >= checkpoint.stat().st_mtime_ns


def provenance(data: Sequence[DatasetIndex]) -> list[dict[str, Any]]:
    """Which data: one row an index."""
    return [{"layout": i.layout, "data_hash": i.data_hash, "images": dict(i.splits())} for i in data]


def _located(data: Sequence[DatasetIndex]) -> list[dict[str, Any]]:
    """`provenance`, and where the data lies."""
    places = ({"index": i.file and str(i.file.resolve()), "root": str(i.root)} for i in data)
    return [{**row, **place} for row, place in zip(provenance(data), places, strict=True)]


def open_run(
    paths: RunPaths, config: TrainConfig, data: Sequence[DatasetIndex], stages: Sequence[StageName], resume: bool
) -> None:
    """Write what the run is (`run.json`, `config.yaml`), or check that the directory holds this very run and may be
    gone on with.

    Raises:
        TrainingError: it holds another run, or an unfinished stage and `resume` is off or leaves that stage out.
    """
    file = paths.directory / RUN_FILE
    about = json.loads(json.dumps({"config": config.to_dict(), "data": _located(data), "sessions": []}))
    if not file.is_file():
        paths.directory.mkdir(parents=True, exist_ok=True)
        write_config(paths.directory / CONFIG_FILE, config)
        write_text(file, json.dumps(about, indent=1) + "\n")
        return
    different = differences(read_run(paths.directory), about)
    if different:
        raise TrainingError(
            f"{paths.directory} holds another run: {'; '.join(different)} (see {file}); give what it was started with, "
            "or choose another --output"
        )
    progress = paths.unfinished()
    if progress and not resume:
        raise TrainingError(
            f"{paths.directory} holds an unfinished stage {progress.stage} (epochs done: {progress.epoch}); "
            "go on with --resume, or choose another --output"
        )
    due = [stage for stage in stages if stage not in paths.finished()]
    if progress and due and due[0] != progress.stage:
        raise TrainingError(
            f"{paths.directory} holds an unfinished stage {progress.stage}, which stage {due[0]} would overwrite; "
            f"finish it first with --stage {progress.stage} --resume, or choose another --output"
        )


def write_text(path: Path, text: str) -> None:
    """Write a file in one step."""
    with whole_file(path) as part:
        part.write_text(text)


def read_run(directory: Path) -> dict[str, Any]:
    """What `run.json` says.

    Raises:
        TrainingError: it is not JSON, or says no configuration.
    """
    file = directory / RUN_FILE
    try:
        values = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise TrainingError(f"{file} must be JSON, got: {error}; choose another --output") from error
    if not isinstance(values, dict) or not isinstance(values.get("config"), dict):
        raise TrainingError(f"{file} must say what the run is, got no 'config'; choose another --output")
    return values


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not the same, in words, but for the settings that say how it is computed, not what."""
    old, new = _completed(before["config"]), now["config"]
    names = sorted((old.keys() | new.keys()) - {"workers", "cache_dir", "cache_max_gb"})
    found = [f"{n} was {_brief(old.get(n))}, is {_brief(new.get(n))}" for n in names if old.get(n) != new.get(n)]
    data, data_now = (_hashes(values.get("data", [])) for values in (before, now))
    if data != data_now:
        found.append(f"the data was {_brief(data)}, is {_brief(data_now)}")
    return found


def _completed(config: dict[str, Any]) -> dict[str, Any]:
    """With the defaults of settings that came after the run was started."""
    try:
        return json.loads(json.dumps(from_dict(TrainConfig, config, RUN_FILE).to_dict()))
    except ConfigError:
        return config


def _hashes(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What makes it the same data, wherever it lies."""
    return [{name: row.get(name) for name in ("layout", "data_hash", "images")} for row in data]


def _brief(value: object) -> str:
    return json.dumps(value, separators=(", ", ": "))
