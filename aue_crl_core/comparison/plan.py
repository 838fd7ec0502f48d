"""Which runs a comparison has: each method with each seed is an ordinary training run below its directory.

DIR/comparison.json                        what is compared, on what, under which settings; what failed
DIR/runs/METHOD/seed-N/, seed-N.log        the run's directory (see `training.directory`), and what it printed
DIR/predictions/METHOD/seed-N.parquet      what it says of the test faces, once it is finished
DIR/report.md, results.csv, compare.png    the report
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from aue_crl_core.config import MethodName, require
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import DatasetError, TrainingError
from aue_crl_core.methods import METHODS
from aue_crl_core.text import json_object, read_text
from aue_crl_core.training.config import StageName, TrainConfig
from aue_crl_core.training.directory.paths import differences, provenance, write_text
from aue_crl_core.training.stages import sequence

PLAN_FILE: Final = "comparison.json"
_SAME: Final = ("epochs", "split", "init")
_FIELDS: Final = ("config", "data", *_SAME, "methods", "failed", "milliseconds")
_CHOOSING: Final = ("train", "valid")
"""Splits that weights or epochs are chosen on."""


@dataclass(frozen=True)
class Trial:
    """One method with one seed: what is trained, in `directory`, and where its `predictions` go."""

    config: TrainConfig
    stages: tuple[StageName, ...]
    directory: Path
    predictions: Path
    split: str
    init: Literal["imagenet"] | None = None
    landmarks: Path | None = None
    device: str = "cpu"

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.config.method} seed {self.config.seed}"

    @property
    def log(self) -> Path:
        """What its process prints."""
        return self.directory.with_name(self.directory.name + ".log")

    @property
    def epochs(self) -> dict[StageName, int]:
        """Stage -> its epochs."""
        return {stage: getattr(self.config, stage).epochs for stage in self.stages}

    @property
    def done(self) -> bool:
        """Whether its predictions are there."""
        return self.predictions.is_file()


def trials(
    directory: Path,
    config: TrainConfig,
    methods: Sequence[MethodName],
    seeds: int,
    epochs: int,
    split: str,
    init: Literal["imagenet"] | None = None,
    **more: Any,
) -> list[Trial]:
    """All runs of a comparison, the first seed of every method before the second of any.

    `config` is what all share. Every run trains `epochs` in all; where it has several stages, each gets a share in
    proportion to its epochs in `config`. A method that has a trunk of its own starts at random whatever `init` is.
    `more`: the fields `landmarks` and `device` of every `Trial`.

    Raises:
        ConfigError: no seed, a split that something is chosen on, or fewer epochs than a method has stages.
    """
    require(seeds >= 1, "--seeds", "be at least 1", seeds)
    require(split not in _CHOOSING, "--split", "be one that nothing is chosen on (train and valid are)", split)
    found = []
    for seed in range(seeds):
        for method in methods:
            own = dataclasses.replace(config, method=method, seed=seed)
            stages = sequence(own.network())
            shares = shared(epochs, [getattr(config, stage).epochs for stage in stages])
            pairs = zip(stages, shares, strict=True)
            changed = {stage: dataclasses.replace(getattr(own, stage), epochs=epochs) for stage, epochs in pairs}
            place = Path(method, f"seed-{seed}")
            found.append(
                Trial(
                    dataclasses.replace(own, **changed),
                    stages,
                    directory / "runs" / place,
                    (directory / "predictions" / place).with_suffix(".parquet"),
                    split,
                    init if METHODS[method].whole is None else None,
                    **more,
                )
            )
    return found


def shared(total: int, weights: Sequence[int]) -> list[int]:
    """`total` epochs in proportion to `weights`, at least one each; what rounding leaves goes to the largest.

    Raises:
        ConfigError: fewer epochs than there are weights.
    """
    require(total >= len(weights), "--epochs", f"be at least {len(weights)}, one for every stage", total)
    shares = [max(1, round(total * weight / sum(weights))) for weight in weights]
    shares[weights.index(max(weights))] += total - sum(shares)
    return shares


def open_comparison(
    directory: Path,
    config: TrainConfig,
    data: Sequence[DatasetIndex],
    methods: Mapping[MethodName, str],
    epochs: int,
    split: str,
    init: str | None,
) -> dict[str, Any]:
    """Write down what is compared, or add `methods` (name -> title) to what was; returns what the file says now.

    Raises:
        TrainingError: the directory holds a comparison under other settings, on other data or from another start.
    """
    places = ({"index": index.file and str(index.file.resolve())} for index in data)
    about = {
        "config": config.to_dict(),
        "data": [{**row, **place} for row, place in zip(provenance(data), places, strict=True)],
        "epochs": epochs,
        "split": split,
        "init": init,
        "methods": dict(methods),
        "failed": {},
        "milliseconds": {},
    }
    about = json.loads(json.dumps(about))
    if (directory / PLAN_FILE).is_file():
        before = read_comparison(directory)
        different = differences(before, about)
        different += [f"{n} was {before[n]}, is {about[n]}" for n in _SAME if before[n] != about[n]]
        if different:
            raise TrainingError(
                f"{directory} holds another comparison: {'; '.join(different)} (see {directory / PLAN_FILE}); give "
                "what it was started with, or choose another --output"
            )
        about = {**before, "methods": before["methods"] | about["methods"]}
    write_comparison(directory, about)
    return about


def read_comparison(directory: Path) -> dict[str, Any]:
    """What `comparison.json` says.

    Raises:
        TrainingError: there is none, or it is not of this project.
    """
    file = directory / PLAN_FILE
    if not file.is_file():
        raise TrainingError(f"no comparison in {directory} ({PLAN_FILE} is missing); make one with: aue-crl compare")
    about = json_object(read_text(file, TrainingError), str(file), TrainingError)
    missing = [name for name in _FIELDS if name not in about]
    if missing:
        raise TrainingError(f"{file} must say what is compared, got no {', '.join(missing)}; choose another --output")
    return about


def write_comparison(directory: Path, about: dict[str, Any]) -> None:
    """Write `comparison.json` in one step."""
    write_text(directory / PLAN_FILE, json.dumps(about, indent=1) + "\n")


def check_split(data: Sequence[DatasetIndex], split: str) -> None:
    """See that there is something to report on, before hours are spent.

    Raises:
        DatasetError: no index has a usable, labelled face in `split`.
    """
    if not any(r.split == split and r.learnable for i in data for r in i.records):
        splits = "; ".join(f"{index.layout}: {dict(index.splits())}" for index in data)
        raise DatasetError(f"an index must have faces of the split {split!r} to report on, got {splits}")
