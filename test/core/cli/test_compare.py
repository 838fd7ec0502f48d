"""`aue-crl compare` as a user types it, on real faces: what finishes, what fails, what is skipped the second time."""

from __future__ import annotations

import csv
import dataclasses
import json
import multiprocessing
import shutil
from pathlib import Path

import invoked
import pytest

pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("tensorboard")
pytest.importorskip("onnx")

from aue_crl_core.cli import compare
from aue_crl_core.comparison.plan import read_comparison, trials
from aue_crl_core.comparison.pool import run_all
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.prepare import prepare
from aue_crl_core.errors import ConfigError, DatasetError, TrainingError
from aue_crl_core.training.config import make_config

SETTINGS = "batch_size: 16\nprecision: fp32\nworkers: 0\npreprocessing: { input_size: 64 }\n"


def run(*words, code: int = 0) -> str:
    """What the command prints, blanks as one; its own errors are raised."""
    return " ".join(invoked.run(compare, *words, code=code).split())


@pytest.fixture(scope="module")
def place(fer_root, tmp_path_factory) -> Path:
    """A folder with an index of 32, 8 and 12 faces, none of which a face mesh has measured, and with settings."""
    folder = tmp_path_factory.mktemp("compare")
    prepare("ferplus", fer_root, folder / "fer.parquet", None)
    read = DatasetIndex.read(folder / "fer.parquet")
    train, valid = ([r for r in read.records if r.split == split and r.usable] for split in ("train", "valid"))
    test = [dataclasses.replace(record, split="test") for record in valid[8:20]]
    dataclasses.replace(read, records=(*train[:32], *valid[:8], *test)).write(folder / "fer.parquet")
    (folder / "settings.yaml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def words(place) -> list:
    """A method that can be trained on that index, and one that cannot."""
    options = ["--methods", "softmax,aue_crl", "--model", "mobilenet_v2", "--seeds", 1, "--epochs", 2, "--jobs", 2]
    return [*options, "--config", place / "settings.yaml", "--data", place / "fer.parquet", "--output", place / "out"]


@pytest.fixture(scope="module")
def printed(words) -> str:
    return run(*words, "--time", code=1)


def test_a_run_that_fails_is_listed_with_its_reason_and_the_others_go_on(printed, place):
    assert "2 runs of 2 epochs on cpu, 2 at once: 0 finished before" in printed
    assert "softmax seed 0: kept epoch" in printed
    reason = read_comparison(place / "out")["failed"]["aue_crl seed 0"]
    assert reason.startswith("DatasetError: ")
    assert "install the face mesh's model" in reason
    assert f"aue_crl seed 0: failed: {reason} (see {place}/out/runs/aue_crl/seed-0.log)" in printed
    assert "Traceback" in (place / "out/runs/aue_crl/seed-0.log").read_text()
    report = (place / "out/report.md").read_text()
    assert f"| aue_crl seed 0 | {reason} |" in report
    assert report.startswith("# Methods on one trunk, mobilenet_v2: 12 faces of the split test\n")
    assert (place / "out/compare.png").stat().st_size > 10_000


def test_a_run_is_an_ordinary_one(printed, place):
    about = json.loads((place / "out/runs/softmax/seed-0/run.json").read_text())
    assert (about["config"]["method"], about["config"]["expression"]["epochs"]) == ("softmax", 2)
    assert about["sessions"][0]["outcome"] == "finished"
    assert (place / "out/runs/softmax/seed-0/best.safetensors").is_file()


def test_milliseconds_are_measured_when_asked_for(printed, place):
    with (place / "out/results.csv").open() as file:
        means = [row for row in csv.DictReader(file) if row["seed"] == "mean"]
    assert [row["method"] for row in means] == ["softmax"]
    assert 0 < float(means[0]["milliseconds"]) == read_comparison(place / "out")["milliseconds"]["softmax"]


def test_the_second_time_what_is_finished_is_skipped_and_what_failed_tried_again(printed, words, place):
    before = (place / "out/predictions/softmax/seed-0.parquet").stat().st_mtime_ns
    text = run(*words, code=1)
    assert "2 runs of 2 epochs on cpu, 2 at once: 1 finished before" in text
    assert "softmax seed 0: kept" not in text
    assert "aue_crl seed 0: failed" in text
    assert (place / "out/predictions/softmax/seed-0.parquet").stat().st_mtime_ns == before


def test_the_report_is_made_again_without_the_networks(printed, place, tmp_path):
    for name in ("comparison.json", "predictions"):
        shutil.copytree(place / "out" / name, tmp_path / name) if name == "predictions" else shutil.copy(
            place / "out" / name, tmp_path / name
        )
    run("--output", tmp_path, "--report-only")
    assert (tmp_path / "results.csv").read_text() == (place / "out/results.csv").read_text()


def test_other_settings_are_another_comparison(printed, words):
    with pytest.raises(TrainingError, match="holds another comparison: epochs was 2, is 3"):
        run(*words, "--epochs", 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("--methods", "softmax,hardmax"), ConfigError, r"--methods must be among softmax, .*, got \['hardmax'\]"),
        (("--split", "valid"), ConfigError, "--split must be one that nothing is chosen on"),
        (("--split", "holiday"), DatasetError, "faces of the split 'holiday'"),
        (("--jobs", 0), ConfigError, "--jobs must be at least 1, got 0"),
        (("--epochs", 1), ConfigError, "--epochs must be at least 2, one for every stage, got 1"),
        (("--init", "x.safetensors"), ConfigError, "--init must be imagenet"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_begins(change, error, message, words, tmp_path):
    with pytest.raises(error, match=message):
        run(*words, "--output", tmp_path / "new", *change)
    assert not (tmp_path / "new").exists()


def test_a_run_whose_process_is_killed_fails_alone(place, tmp_path):
    class Killer:
        ends: list

        def started(self, trial):
            self.ends = []
            for child in multiprocessing.active_children():
                child.kill()

        def ended(self, trial, reason):
            self.ends.append((trial.name, reason))

        def waiting(self):
            pass

    config = make_config(place / "settings.yaml", model="mobilenet_v2")
    hear = Killer()
    run_all(trials(tmp_path, config, ["softmax"], 1, 2, "test"), [DatasetIndex.read(place / "fer.parquet")], 1, hear)
    ((name, reason),) = hear.ends
    assert name == "softmax seed 0"
    assert reason.startswith("its process ended with exit code -9")
