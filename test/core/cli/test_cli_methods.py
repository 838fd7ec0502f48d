"""`aue-crl train --method NAME`, and what it makes, as a user types them, on real faces."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("tensorboard")
pytest.importorskip("onnx")

from invoked import run  # noqa: E402

from aue_crl_core.analyzer import FaceAnalyzer  # noqa: E402
from aue_crl_core.checkpoint import read_info  # noqa: E402
from aue_crl_core.cli import evaluate, export, prepare, train  # noqa: E402
from aue_crl_core.cli import run as run_command  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.errors import CheckpointError, ConfigError, DatasetError, TrainingError  # noqa: E402


@pytest.fixture(scope="module")
def index(fer_root, tmp_path_factory) -> Path:
    """Faces without points: heads and losses need none, and the shipped landmark net finds them at run time."""
    path = tmp_path_factory.mktemp("methods") / "fer.parquet"
    run(prepare, "ferplus", fer_root, "--output", path, "--finder", "none")
    return path


@pytest.fixture(scope="module")
def trained(index, small_crops) -> Path:
    output = index.parent / "run"
    words = ("--data", index, "--output", output, "--method", "island", "--epochs", 1, "--batch-size", 16)
    words += ("--config", small_crops)
    (index.parent / "printed.txt").write_text(run(train, *words))
    return output


@pytest.fixture(scope="module")
def exported(trained) -> Path:
    text = run(export, "--weights", trained, "--output", trained / "best.onnx")
    assert float(text.split("crops of a portrait:")[1].split()[0]) < 1e-4
    return trained / "best.onnx"


def test_a_methods_run_is_one_stage_and_says_so(trained):
    printed = trained.with_name("printed.txt").read_text()
    assert "training edge with the head of island" in printed
    assert "landmark net: that of the shipped weights" in printed
    assert "next:" in printed
    info = read_info(trained / "best.safetensors")
    assert (info.stage, info.config.method, info.action_units) == ("expression", "island", ())
    assert "fused_temperature" in info.metrics
    assert info.config.uncertain_below != 0.4
    with (trained / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert {name for name in row if name.startswith("train/")} == {"train/expression", "train/center", "train/island"}
    assert "# Training run: island on edge" in (trained / "README.md").read_text()


def test_the_same_settings_again_come_from_its_config_file(trained, index):
    text = run(train, "--data", index, "--output", trained, "--config", trained / "config.yaml")
    assert "expression: finished before, skipped" in text


def test_evaluate_scores_its_one_head(trained, exported, index, tmp_path):
    words = ("--data", index, "--split", "valid", "--report", tmp_path, "--weights", trained, "--detector", "none")
    text = run(evaluate, *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["head"], set(metrics["heads"]), metrics["action_units"]) == ("island", {"island"}, None)
    assert "island" in text
    assert "stage alone" not in text


def test_labels_of_action_units_alone_are_nothing_to_score_it_on(exported, index, tmp_path):
    read = DatasetIndex.read(index)
    coded = (dataclasses.replace(r, label=None, votes=None, action_units=(1,) * 17) for r in read.records)
    dataclasses.replace(read, records=tuple(coded)).write(tmp_path / "coded.parquet")
    with pytest.raises(DatasetError, match=r"no image with an expression label \(the weights know no action units\)"):
        run(evaluate, "--data", tmp_path / "coded.parquet", "--split", "valid", "--weights", exported)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_run_writes_faces_without_action_units(exported, photograph_path, tmp_path, suffix):
    output, picture = tmp_path / f"faces.{suffix}", tmp_path / "picture.png"
    run(run_command, photograph_path, "--weights", exported, "--output", output, "--overlay", picture)
    assert picture.is_file()
    if suffix == "jsonl":
        record = json.loads(output.read_text())
        assert record["action_units"] == {}
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    elif suffix == "csv":
        with output.open() as file:
            (row,) = csv.DictReader(file)
        assert {value for name, value in row.items() if name.startswith("au_")} == {""}
    else:
        (row,) = pq.read_table(output).to_pylist()
        assert set(row["action_units"].values()) == {None}


def test_both_engines_say_the_same(trained, exported, photograph):
    onnx, own = (FaceAnalyzer.load(trained, engine)(photograph)[0] for engine in ("onnx", "torch"))
    assert onnx.action_units == own.action_units == onnx.attention == {}
    assert list(onnx.probabilities.values()) == pytest.approx(list(own.probabilities.values()), abs=1e-4)


@pytest.mark.parametrize("stage", ["action_unit", "fusion", "joint"])
def test_stages_of_aue_crl_are_refused(index, tmp_path, stage):
    with pytest.raises(TrainingError, match=f"method softmax has the stages landmark and expression, got {stage}"):
        run(train, "--data", index, "--output", tmp_path / "run", "--method", "softmax", "--stage", stage)


def test_an_unknown_method_is_refused_with_those_that_there_are(index, tmp_path):
    with pytest.raises(ConfigError, match=r"method must be one of softmax, center, island, .*aue_crl, got 'vgg'"):
        run(train, "--data", index, "--output", tmp_path / "run", "--method", "vgg")


def test_a_checkpoint_of_another_method_is_no_start(index, trained, tmp_path):
    init = trained / "best.safetensors"
    words = ("--data", index, "--output", tmp_path / "run", "--method", "softmax", "--init", init)
    with pytest.raises(CheckpointError, match="must have the run's method 'softmax' to start from, got 'island'"):
        run(train, *words)
