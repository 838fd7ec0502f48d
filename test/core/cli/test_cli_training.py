"""prepare, train, evaluate and export as a user types them, on real faces."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("tensorboard")
pytest.importorskip("onnx")

from invoked import run  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.checkpoint import read_info  # noqa: E402
from aue_crl_core.cli import evaluate, export, prepare, train  # noqa: E402
from aue_crl_core.cli.main import main  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.errors import AueCrlError, CheckpointError, ConfigError, TrainingError  # noqa: E402


@pytest.fixture(scope="module")
def tree(fer_root, tmp_path_factory) -> Path:
    """FER+ with two images missing and one cut short."""
    root = tmp_path_factory.mktemp("tree") / "ferplus"
    shutil.copytree(fer_root, root)
    first, second, third = sorted((root / "data/FER2013Train").glob("*.png"))[:3]
    first.unlink()
    second.unlink()
    third.write_bytes(third.read_bytes()[:200])
    return root


@pytest.fixture(scope="module")
def index(tree, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "fer.parquet"
    run(prepare, "ferplus", tree, "--output", path, "--finder", "own")
    return path


def test_a_full_disk_is_said_in_one_line(index, fer_root, tmp_path, disk_with, capsys):
    commands = {
        "faces.jsonl cannot be written any further": ["prepare", "ferplus", fer_root, "-o", tmp_path / "full.parquet"],
        "run.json cannot be written": ["train", "--data", index, "-o", tmp_path / "run", "--model", "edge"],
    }
    for complaint, words in commands.items():
        with disk_with(2000), pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        assert ended.value.code == 1
        assert complaint in (said := capsys.readouterr().err)
        assert "Traceback" not in said


@pytest.fixture(scope="module")
def settings(small_crops) -> tuple:
    return ("--config", small_crops, "--epochs", 1, "--batch-size", 32)


@pytest.fixture(scope="module")
def trained(index, settings) -> Path:
    output = index.parent / "run"
    text = run(train, "--data", index, "--output", output, *settings)
    (output.parent / "printed.txt").write_text(text)
    return output


def test_prepare_finds_points_with_the_shipped_net_and_lists_every_problem(index):
    read = DatasetIndex.read(index)
    usable = [r for r in read.records if r.usable]
    assert {r.points_source for r in usable} == {"landmark_net"}
    with index.with_name("fer.problems.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["image"], r["reason"]) for r in rows} == {(r.image, r.reason) for r in read.records if r.reason}
    assert len(rows) >= len(read.records) - len(usable) >= 3


def test_prepare_again_takes_all_from_the_cache_and_groups_the_problems(index, tree):
    text = run(prepare, "ferplus", tree, "--output", index, "--finder", "own")
    read = DatasetIndex.read(index)
    usable = sum(r.usable for r in read.records)
    assert "images were taken from an earlier run's results" in text
    assert any(line.split() == ["all", "96", str(usable), str(usable)] for line in text.splitlines())
    assert any(line.split()[:6] == ["2", "the", "image", "does", "not", "exist;"] for line in text.splitlines())
    assert any(line.split()[:6] == ["1", "the", "image", "is", "not", "a"] for line in text.splitlines())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ferplus", ".", "-o", "x.parquet", "--finder", "eyes"], "--finder must be one of auto, mediapipe, own, none"),
        (["ferplus", ".", "-o", "x.csv"], r"--output must end in \.parquet, got 'x\.csv'"),
        (["ferplus", ".", "-o", "x.parquet", "--workers", "0"], "--workers must be at least 1, got 0"),
        (["fer", ".", "-o", "x.parquet", "--finder", "none"], "no layout 'fer'; known are .*ferplus"),
    ],
)
def test_prepare_refuses_what_it_cannot_do(words, message):
    with pytest.raises(AueCrlError, match=message):
        run(prepare, *words)


def test_finders_can_be_sent_to_worker_processes():
    import pickle

    for name in ("own", "mediapipe"):
        factory = prepare.choose_finder(name)
        assert pickle.loads(pickle.dumps(factory)) is factory
    assert prepare.choose_finder("none") is None


def test_train_says_what_begins_what_is_read_and_what_comes_next(index, trained):
    lines = (trained.parent / "printed.txt").read_text().splitlines()
    read = DatasetIndex.read(index)
    train_count, valid_count = (sum(r.usable and r.split == s for r in read.records) for s in ("train", "valid"))
    assert re.fullmatch(
        r"training edge \(basic expressions\) on cpu in (fp32|bf16), 32 images a step: "
        "expression, action_unit, fusion",
        lines[0],
    )
    assert lines[1] == "landmark net: that of the shipped weights (edge.safetensors)"
    assert lines[2] == f"data: {index} (ferplus): train {train_count}, valid {valid_count}"
    assert lines[3] == f"output: {trained} (README.md there says what is what; watch with tensorboard --logdir)"
    for number, stage in enumerate(("expression", "action_unit", "fusion"), start=1):
        assert any(line.startswith(f"stage {number} of 3, {stage}: ") for line in lines)
        (epoch,) = [line for line in lines if line.startswith(f"{stage} 1/1  loss ")]
        assert re.search(r"valid: loss \d+\.\d{4}.*  best so far  \(\d+ s, \d+ images/s, waiting for data ", epoch)
        assert ("mean class" in epoch) == (stage != "action_unit")
        (done,) = [line for line in lines if line.startswith(f"{stage}: done after 1 epoch; kept epoch 1")]
        assert done.endswith(f" -> {trained / stage}.safetensors")
    (end,) = [line for line in lines if line.startswith("finished in")]
    assert end.endswith(f"the result is {trained / 'best.safetensors'}")
    assert lines[-3:] == [
        "next:",
        f"  aue-crl evaluate --data {index} --split valid --weights {trained} --engine torch --report {trained}/report",
        f"  aue-crl export --weights {trained} --output {trained}/best.onnx",
    ]


def test_what_a_pipe_gets_has_neither_bar_nor_control_codes(trained):
    text = (trained.parent / "printed.txt").read_text()
    assert not set(text) & set("\x1b\r━")
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_a_validation_split_that_is_held_out_and_a_test_split_are_named(index, tmp_path):
    read = DatasetIndex.read(index)
    renamed = (dataclasses.replace(r, split="test" if r.split == "valid" else r.split) for r in read.records)
    dataclasses.replace(read, records=tuple(renamed)).write(tmp_path / "x.parquet")
    words = ("--stage", "expression", "--epochs", 1, "--batch-size", 16, "--init", shipped())
    words += ("--model", "mobilenet_v2")
    text = run(train, "--data", tmp_path / "x.parquet", "--output", tmp_path / "run", *words)
    assert re.search(r"\(ferplus\): train \d+, valid \d+ \(held out from train\), test: not read", text)
    assert f"start: {shipped()}" in text


def test_a_shipped_name_is_a_start_and_another_name_is_refused_with_those_that_there_are(index, tmp_path):
    words = ("--data", index, "--output", tmp_path / "run", "--stage", "expression", "--model", "edge")
    with pytest.raises(CheckpointError, match=r"must have the run's model 'edge' to start from, got 'mobilenet_v2'"):
        run(train, *words, "--init", "edge")
    with pytest.raises(CheckpointError, match=r"weights must be one of .*edge.*got 'nowhere'"):
        run(train, *words, "--init", "nowhere")
    assert not (tmp_path / "run").exists()


def shipped() -> Path:
    return train.default_landmarks(Path("nowhere"))


def test_an_interrupted_run_says_how_to_go_on(index, small_crops, tmp_path):
    words = ("train", "--config", small_crops, "--batch-size", 32)
    words += ("--data", index, "--output", tmp_path / "run", "--epochs", 50)
    # A shell that runs the tests in the background has them ignore SIGINT, and what they start too.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from aue_crl_core.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as job:
        for line in job.stdout:
            if line.startswith("expression  1/50"):
                job.send_signal(signal.SIGINT)
                break
        rest, complaints = job.communicate()
    assert job.returncode == 130
    assert f"interrupted; the finished epochs are kept: add --resume to go on, or look into {tmp_path / 'run'}" in rest
    assert "Traceback" not in complaints
    session = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"][0]
    assert session["outcome"] == "KeyboardInterrupt"
    assert f"--output {tmp_path / 'run'} --epochs 50" in session["command"]


def test_a_finished_run_is_skipped(index, settings, trained):
    text = run(train, "--data", index, "--output", trained, *settings, "--resume")
    assert text.count("finished before, skipped") == 3


def test_train_names_what_differs_from_the_run_in_the_directory(index, settings, trained):
    with pytest.raises(TrainingError, match="another run: batch_size was 32, is 16"):
        run(train, "--data", index, "--output", trained, *settings[:-1], 16)


def test_train_refuses_an_unknown_stage_and_model(index, tmp_path):
    with pytest.raises(
        ConfigError, match="--stage must be one of landmark, expression, action_unit, fusion, joint, evidence, all"
    ):
        run(train, "--data", index, "--output", tmp_path / "run", "--stage", "em")
    with pytest.raises(ConfigError, match="model must be one of resnet101"):
        run(train, "--data", index, "--output", tmp_path / "run", "--model", "vgg")


def test_options_reach_the_configuration(index, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("expression: {epochs: 9, lr: 0.5}\nseed: 2\n")
    settings = train.configure(file, [DatasetIndex.read(index)], 3, model="resnet18", seed=11)
    assert (settings.model, settings.seed, settings.expression.epochs, settings.expression.lr) == (
        "resnet18",
        11,
        3,
        0.5,
    )
    assert settings.fusion.epochs == 3
    assert settings.vocabulary == "basic"


def test_the_runs_own_landmark_net_wins_over_the_shipped_one(tmp_path):
    assert train.default_landmarks(tmp_path).name == "edge.safetensors"
    (tmp_path / "landmark.safetensors").touch()
    assert train.default_landmarks(tmp_path) is None


def test_evaluate_writes_the_report_and_prints_the_table(index, trained, tmp_path):
    words = ("--data", index, "--split", "valid", "--weights", trained, "--engine", "torch", "--report", tmp_path)
    text = run(evaluate, *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    labelled = [r for r in DatasetIndex.read(index).select("valid").records if r.label is not None]
    assert metrics["n"] == len(labelled)
    assert metrics["protocol"] == metrics["provenance"]["layout"] == "ferplus"
    assert set(metrics["heads"]) == {"fused", "expression"}
    assert "mean class accuracy" in text
    assert f"{metrics['n_missed']} images with a problem" in text
    assert (tmp_path / "problems.csv").read_text().startswith("image,reason")


def test_export_prints_sizes_and_the_difference(trained, tmp_path):
    text = run(export, "--weights", trained, "--output", tmp_path / "model.onnx")
    assert (tmp_path / "model.landmarks.onnx").is_file()
    difference = float(text.split("crops of a portrait:")[1].split()[0])
    assert difference < 1e-4
    assert f"{(tmp_path / 'model.onnx').stat().st_size / 1e6:.1f} MB" in text
    half = run(export, "--weights", trained, "--output", tmp_path / "half.onnx", "--precision", "fp16")
    assert "rounding to float16 included" in half
    assert (tmp_path / "half.onnx").stat().st_size < 0.6 * (tmp_path / "model.onnx").stat().st_size


def test_export_takes_the_landmark_net_of_another_checkpoint(trained, tmp_path):
    other = find_weights("edge", "torch")
    arguments = "--weights", trained, "--landmarks", other, "--output", tmp_path / "both.safetensors"
    text = run(export, *arguments, "--precision", "fp16")
    assert "both.safetensors: " in text
    both, shipped, own = (load_file(p) for p in (tmp_path / "both.safetensors", other, f"{trained}/best.safetensors"))
    for name, tensor in both.items():
        taken = shipped if name.startswith("landmark_net.") else own
        halved = taken[name].is_floating_point() and name != "prior.table"
        assert torch.equal(tensor.float(), (taken[name].half() if halved else taken[name]).float())
    assert read_info(tmp_path / "both.safetensors").metrics == read_info(f"{trained}/best.safetensors").metrics
    run(export, "--weights", trained, "--landmarks", other, "--output", tmp_path / "both.onnx")
    assert find_weights(tmp_path / "both.onnx").is_file()


def test_evaluate_reads_what_export_wrote(index, trained, tmp_path):
    run(export, "--weights", trained, "--output", tmp_path / "model.onnx")
    words = ("--data", index, "--split", "valid", "--report", tmp_path / "report", "--weights")
    run(evaluate, *words, tmp_path / "model.onnx")
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["provenance"]["engine"] == "onnx"
