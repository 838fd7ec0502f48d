"""A run's directory explains itself: what was run, on what, with which code, what came out, and how to get it again."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytest.importorskip("tensorboard")

from safetensors.torch import load_file  # noqa: E402

from aue_crl_core import __version__  # noqa: E402
from aue_crl_core.checkpoint import CheckpointInfo, load_network, read_info, save_network  # noqa: E402
from aue_crl_core.training.batches.loading import datasets  # noqa: E402
from aue_crl_core.training.config import Schedule, make_config  # noqa: E402
from aue_crl_core.training.directory.history import read_history  # noqa: E402
from aue_crl_core.training.directory.journal import Journal  # noqa: E402
from aue_crl_core.training.directory.overview import FILES  # noqa: E402
from aue_crl_core.training.directory.paths import RunPaths  # noqa: E402
from aue_crl_core.training.directory.session import describe_device, source_revision  # noqa: E402
from aue_crl_core.training.directory.state import STATE_FILE  # noqa: E402
from aue_crl_core.training.reporter import Silent  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402

STAGES = ("expression", "action_unit", "fusion")


def git(folder: Path, *words: str) -> str:
    who = {f"GIT_{role}_{part}": "x@y" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *words], cwd=folder, env={**os.environ, **who}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A git checkout with one commit of a package."""
    root = tmp_path / "checkout"
    (root / "aue_crl_core").mkdir(parents=True)
    (root / "aue_crl_core" / "__init__.py").write_text("x = 1\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    return root


def test_the_record_says_what_was_run_on_what(finished_run, tiny_index, tiny_config, shipped):
    about = json.loads((finished_run / "run.json").read_text())
    assert about["config"] == json.loads(json.dumps(tiny_config.to_dict()))
    assert about["data"] == [
        {
            "layout": "ferplus",
            "data_hash": tiny_index.data_hash,
            "images": dict(tiny_index.splits()),
            "index": str(tiny_index.file),
            "root": str(tiny_index.root),
        }
    ]
    session = about["sessions"][0]
    assert (session["stages"], session["init"], session["landmarks"]) == (list(STAGES), None, str(shipped))
    assert session["versions"]["aue_crl"] == __version__
    assert session["versions"]["numpy"] == numpy.__version__
    assert session["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert session["device"] == describe_device("cpu")
    began, ended = (datetime.datetime.fromisoformat(session[name]) for name in ("began", "ended"))
    assert began.utcoffset() == datetime.timedelta(0)
    assert began <= ended
    assert session["outcome"] == "finished"
    assert session["source"].keys() == {"revision", "dirty", "reason"}
    assert (session["source"]["revision"] is None) == (session["source"]["reason"] is not None)


def test_the_revision_is_the_checkouts_and_dirty_once_a_file_differs(checkout):
    clean = source_revision(checkout)
    assert clean == {"revision": git(checkout, "rev-parse", "HEAD"), "dirty": False, "reason": None}
    (checkout / "runs.txt").write_text("beside the package")
    assert source_revision(checkout)["dirty"] is False
    (checkout / "aue_crl_core" / "new.py").write_text("")
    assert source_revision(checkout)["dirty"] is True


def test_a_hooks_environment_names_no_other_repository(checkout, tmp_path, monkeypatch):
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert source_revision(checkout)["revision"] is not None


def test_without_a_checkout_or_git_there_is_a_reason_instead(checkout, tmp_path, monkeypatch):
    installed = checkout / "venv" / "site-packages"
    installed.mkdir(parents=True)
    unknown = source_revision(installed)
    assert (unknown["revision"], unknown["dirty"]) == (None, None)
    assert "is not the top of a git checkout: installed, not run from source" in unknown["reason"]
    assert "not a git repository" in source_revision(tmp_path)["reason"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_revision(checkout)["reason"] == "git is not installed"


def test_the_configuration_file_makes_the_same_run_again(finished_run, tiny_config, tiny_index, shipped, tmp_path):
    config = make_config(finished_run / "config.yaml")
    assert config == tiny_config
    again = train(config, [tiny_index], tmp_path / "again", ["expression"], landmarks=shipped)
    a, b = load_file(finished_run / "expression.safetensors"), load_file(again)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_configuration_with_every_kind_of_value_comes_back(finished_run, tmp_path, tiny_config):
    from aue_crl_core.config import Preprocessing
    from aue_crl_core.training.config import write_config

    config = dataclasses.replace(
        tiny_config,
        fusion=Schedule(5, 1e-7, kind="step", milestones=(2, 3), patience=2),
        preprocessing=Preprocessing(align=False),
        fusion_dim=64,
        cache_dir="a: b",
    )
    write_config(tmp_path / "config.yaml", config)
    assert make_config(tmp_path / "config.yaml") == config


def test_the_readme_names_every_file_and_the_result(finished_run, tiny_index):
    text = (finished_run / "README.md").read_text()
    named = {line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| ")}
    there = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    patterns = {name.replace("STAGE", stage) for name in named for stage in STAGES}
    unexplained = {name for name in there if name not in patterns and not name.startswith(("tensorboard/", "."))}
    assert unexplained == {"README.md"}
    assert {name for name, _ in FILES} - named == {"STAGE.unfinished.safetensors", STATE_FILE}
    assert "Finished stages: expression, action_unit, fusion." in text
    history = read_history(finished_run / "metrics.csv")
    best = [row for row in history if row["stage"] == "fusion" and row["since_best"] == "0"][-1]
    row = [f"{100 * float(best[f'valid/{name}']):.1f} %" for name in ("accuracy", "mean_class_accuracy")]
    assert f"| fusion | 2 | {best['epoch']} | {' | '.join(row)} |" in text
    assert f"| {tiny_index.file} | ferplus | train 36, valid 12 | {tiny_index.data_hash} |" in text
    assert f"aue-crl train --stage all --config {finished_run / 'config.yaml'} --data {tiny_index.file}" in text


def test_both_histories_hold_the_recall_of_each_class(finished_run, tiny_index, tiny_config):
    import pyarrow.parquet as pq

    typed = pq.read_table(finished_run / "metrics.parquet").to_pylist()
    with (finished_run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [[None if cell == "" else cell for cell in r.values()] for r in rows] == [
        [None if cell is None else str(cell) for cell in r.values()] for r in typed
    ]
    valid = datasets("fusion", load_network(finished_run / "best.safetensors")[0], [tiny_index], tiny_config)[1]
    present = {tiny_index.classes[i] for i in valid.targets.argmax(dim=1).tolist()}
    assert 1 < len(present) < 7
    for row in typed:
        recalls = {k.rpartition("/")[2]: v for k, v in row.items() if k.startswith("valid/recall/") and v is not None}
        if row["stage"] == "action_unit":
            assert not recalls
        else:
            assert recalls.keys() == present
            assert row["valid/mean_class_accuracy"] == pytest.approx(sum(recalls.values()) / len(recalls))


def test_every_loss_term_is_measured_on_both_splits(finished_run):
    for row in read_history(finished_run / "metrics.csv"):
        terms = {name.removeprefix("train/") for name in row if name.startswith("train/")}
        assert terms
        assert {f"valid/{term}" for term in terms} <= row.keys()


class KilledAt(Silent):
    def __init__(self, stage: str, epoch: int) -> None:
        self._at = (stage, epoch)

    def epoch(self, row: dict) -> None:
        if (row["stage"], row["epoch"]) == self._at:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_session_and_the_one_after_it_are_both_recorded(tiny_config, tiny_index, shipped, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, [tiny_index], tmp_path, landmarks=shipped, reporter=KilledAt("action_unit", 1))
    text = (tmp_path / "README.md").read_text()
    assert "Stage action_unit has 1 of at most 2 epochs; go on with `--resume`." in text
    assert "The last call of `train` ended with KeyboardInterrupt." in text
    assert "| action_unit.unfinished" not in text
    assert "| STAGE.unfinished.safetensors |" in text
    train(tiny_config, [tiny_index], tmp_path, landmarks=shipped, resume=True)
    sessions = json.loads((tmp_path / "run.json").read_text())["sessions"]
    assert [s["outcome"] for s in sessions] == ["KeyboardInterrupt", "finished"]


def test_a_stage_killed_before_its_state_was_written_repeats_its_epoch(
    finished_run, tiny_config, tiny_index, shipped, tmp_path
):
    """The history then has a row that the state knows nothing of."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        train(
            tiny_config, [tiny_index], tmp_path, ["expression"], landmarks=shipped, reporter=KilledAt("expression", 1)
        )
    with Journal(tmp_path, "expression", 1) as journal:
        journal.write({"stage": "expression", "epoch": 2, "lr": 0.5, "train/expression": 9.0})
    time.sleep(1)  # TensorBoard reads files in the order of their names: the second, the process, a number as text
    train(tiny_config, [tiny_index], tmp_path, ["expression"], landmarks=shipped, resume=True)
    rows = read_history(tmp_path / "metrics.csv")
    whole = [r for r in read_history(finished_run / "metrics.csv") if r["stage"] == "expression"]
    timings = ("seconds", "data_wait")
    assert [{k: v for k, v in r.items() if k not in timings} for r in rows] == [
        {k: v for k, v in r.items() if k not in timings} for r in whole
    ]
    events = EventAccumulator(str(tmp_path / "tensorboard" / "expression"))
    events.Reload()
    points = [(e.step, e.value) for e in events.Scalars("train/expression")]
    assert points == [(int(r["epoch"]), pytest.approx(float(r["train/expression"]))) for r in whole]


def test_a_run_killed_between_a_stages_checkpoint_and_the_rest_is_completed(
    finished_run, tiny_config, tiny_index, shipped, tmp_path
):
    run, other = (shutil.copytree(finished_run, tmp_path / name) for name in ("run", "other"))
    (other / "fusion.safetensors").unlink()
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, [tiny_index], other, landmarks=shipped, resume=True, reporter=KilledAt("fusion", 2))
    shutil.copy(other / STATE_FILE, run)
    shutil.copy(run / "expression.safetensors", run / "best.safetensors")
    os.utime(run / "best.safetensors", (1, 1))
    shutil.rmtree(run / "plots")
    train(tiny_config, [tiny_index], run, landmarks=shipped, resume=True)
    assert (run / "best.safetensors").read_bytes() == (run / "fusion.safetensors").read_bytes()
    assert not (run / STATE_FILE).exists()
    assert RunPaths(run).unfinished() is None
    assert len(list((run / "plots").iterdir())) == 3


def test_plots_are_drawn_when_a_run_ends_or_is_stopped_once(finished_run, tiny_config, tiny_index, shipped, tmp_path):
    drawn = finished_run / "plots" / "training.png"
    assert drawn.stat().st_mtime_ns >= (finished_run / "fusion.safetensors").stat().st_mtime_ns
    run = shutil.copytree(finished_run, tmp_path / "run")
    plots = {path.name: path.read_bytes() for path in (run / "plots").iterdir()}
    assert len(plots) == 3
    for name in plots:
        (run / "plots" / name).write_bytes(b"as it was")
    train(tiny_config, [tiny_index], run, landmarks=shipped)
    assert {path.read_bytes() for path in (run / "plots").iterdir()} == {b"as it was"}
    (run / "fusion.safetensors").unlink()
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, [tiny_index], run, landmarks=shipped, reporter=KilledAt("fusion", 1))
    assert {path.read_bytes() for path in (run / "plots").iterdir()} == {b"as it was"}
    os.utime(run / "plots" / "training.png", (1, 1))
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, [tiny_index], run, landmarks=shipped, resume=True, reporter=KilledAt("fusion", 2))
    assert (run / "plots" / "training.png").stat().st_size > 10_000


def test_the_last_epoch_lies_beside_the_best(finished_run):
    rows = read_history(finished_run / "metrics.csv")
    for stage in STAGES:
        network, info = load_network(finished_run / f"{stage}.last.safetensors")
        assert (info.stage, info.metrics["epoch"]) == (stage, 2)
        (row,) = [r for r in rows if (r["stage"], r["epoch"]) == (stage, "2")]
        for name, value in row.items():
            if name.startswith("valid/"):
                assert info.metrics[name.removeprefix("valid/")] == float(value)
        assert not network.training
    assert load_network(finished_run / "action_unit.last.safetensors")[1].prior is not None


def test_checkpoints_say_what_they_began_with_and_inherit_its_licence(tiny_config, tiny_index, shipped, tmp_path):
    network, info = load_network(shipped)
    path = tmp_path / "theirs.safetensors"
    save_network(path, network, CheckpointInfo(info.config, "expression", license="unknown", initialised_from="X"))
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, [tiny_index], run, init=path, reporter=KilledAt("expression", 1))
    train(tiny_config, [tiny_index], run, init=path, resume=True)
    for name in ("expression", "action_unit.last", "best"):
        about = read_info(run / f"{name}.safetensors")
        assert (about.license, about.initialised_from) == ("unknown", "theirs.safetensors; X")
