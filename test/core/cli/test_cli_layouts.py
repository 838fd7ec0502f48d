"""Compound expressions through all commands, and AU labels through prepare and evaluate, as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("tensorboard")

from invoked import run  # noqa: E402

from aue_crl_core.checkpoint import load_network  # noqa: E402
from aue_crl_core.cli import evaluate, prepare, train  # noqa: E402
from aue_crl_core.data.index import DatasetIndex  # noqa: E402
from aue_crl_core.data.layouts.table import LAYOUTS  # noqa: E402
from aue_crl_core.errors import ConfigError  # noqa: E402
from aue_crl_core.facs import COMPOUND_EXPRESSIONS, prior_levels  # noqa: E402


@pytest.fixture(scope="module")
def compound_index(raf_root, tmp_path_factory) -> Path:
    """RAF-DB compound of real photographs: 36 of training and 12 of test, all eleven classes."""
    root = tmp_path_factory.mktemp("compound") / "raf"
    images = root / "compound/Image/original"
    images.mkdir(parents=True)
    originals = sorted((raf_root / "basic/Image/original").iterdir())[:48]
    lines = []
    for i, original in enumerate(originals):
        name = f"{'train' if i < 36 else 'test'}_{i:05}.jpg"
        shutil.copy(original, images / name)
        lines.append(f"{name} {i % 11 + 1}\n")
    (root / "compound/EmoLabel").mkdir()
    (root / "compound/EmoLabel/list_patition_label.txt").write_text("".join(lines))
    index = root.parent / "compound.parquet"
    run(prepare, "raf-db-compound", root, "-o", index, "--finder", "own")
    assert DatasetIndex.read(index).vocabulary == "compound"
    return index


@pytest.fixture(scope="module")
def compound_run(compound_index, small_crops) -> Path:
    output = compound_index.parent / "run"
    torch.set_num_threads(1)
    words = ("--config", small_crops, "--epochs", 1, "--batch-size", 16)
    run(train, "--data", compound_index, "--output", output, *words)
    return output


@pytest.mark.parametrize("stage", ["expression", "action_unit", "fusion"])
def test_every_stage_trains_on_the_eleven_classes(compound_run, stage):
    network, info = load_network(compound_run / f"{stage}.safetensors")
    assert info.stage == stage
    assert info.classes == COMPOUND_EXPRESSIONS
    size = info.config.preprocessing.input_size
    output = network.eval()(torch.zeros(1, 3, size, size), None)
    assert output.fused_logits.shape == output.expression_logits.shape == (1, 11)


def test_the_prior_that_is_learned_is_the_compound_one(compound_run):
    _, info = load_network(compound_run / "fusion.safetensors")
    start = torch.tensor([[level.start for level in row] for row in prior_levels("compound")])
    low = torch.tensor([[level.low for level in row] for row in prior_levels("compound")])
    high = torch.tensor([[level.high for level in row] for row in prior_levels("compound")])
    prior = torch.tensor(info.prior)
    assert prior.shape == (11, 17)
    assert ((low <= prior) & (prior <= high)).all()
    assert (prior != start).any()


def test_the_result_on_compound_labels_is_never_set_beside_basic_ones(compound_index, compound_run, tmp_path):
    words = ("--data", compound_index, "--split", "test", "--weights", compound_run, "--engine", "torch")
    text = run(evaluate, *words, "--report", tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["classes"] == list(COMPOUND_EXPRESSIONS)
    assert metrics["n"] == 12
    assert len(metrics["confusion"]) == 11
    assert metrics["protocol"] == "raf-db-compound"
    assert "DCNN-DA" not in text
    assert "happily surprised" in text


@pytest.fixture(scope="module")
def table(raf_root, tmp_path_factory) -> Path:
    """Eight photographs with AU labels and no expression."""
    folder = tmp_path_factory.mktemp("table")
    names = sorted(path.name for path in (raf_root / "basic/Image/original").iterdir())[:8]
    for name in names:
        shutil.copy(raf_root / "basic/Image/original" / name, folder)
    rows = "".join(f"{name},test,{i % 2},{i % 3 - 1},1\n" for i, name in enumerate(names))
    (folder / "faces.csv").write_text("image,split,AU12,AU04,AU14\n" + rows)
    return folder / "faces.csv"


def test_action_unit_labels_of_a_table_reach_the_report(table, tmp_path):
    index = tmp_path / "faces.parquet"
    text = run(prepare, "csv", table, "-o", index, "--finder", "none")
    assert "with AUs" in text
    assert DatasetIndex.read(index).records[0].action_units.count(-1) == 16
    text = run(evaluate, "--data", index, "--report", tmp_path / "report")
    metrics = json.loads((tmp_path / "report/metrics.json").read_text())
    assert [unit["unit"] for unit in metrics["action_units"]["units"]] == [4, 12]
    assert metrics["action_units"]["units"][1]["n"] == 8
    assert "AU 12 lip corner puller" in text
    assert "AU 12 lip corner puller" in (tmp_path / "report/report.md").read_text()


def test_problems_are_summed_up_by_reason_with_examples_and_listed(table, tmp_path):
    spoiled = tmp_path / "spoiled"
    shutil.copytree(table.parent, spoiled)
    gone, empty, *_ = sorted(spoiled.glob("*.jpg"))
    gone.unlink()
    empty.write_bytes(b"")
    (spoiled / "images.zip").write_bytes(b"PK")
    index = tmp_path / "faces.parquet"
    text = run(prepare, "csv", spoiled / "faces.csv", "-o", index, "--finder", "none")
    assert "2 images with a problem, 2 of them unusable" in text
    assert any(gone.name in line and "does not exist" in line for line in text.splitlines())
    assert "note: 1 of the 8 images that the labels name are not there" in text
    assert "images.zip" in text
    lines = index.with_name("faces.problems.csv").read_text().splitlines()
    assert lines[0] == "image,split,usable,reason"
    assert lines[1].startswith(f"{gone.name},test,no,")
    assert len(lines) == 3


def test_the_help_names_every_layout():
    text = run(prepare, "--help")
    assert [name for name in LAYOUTS if name not in text] == []


def test_copies_across_splits_are_counted_listed_and_dropped_when_asked(tmp_path):
    one, two = (" ".join([grey] * 2304) for grey in ("60", "90"))
    rows = f"3,{one},Training\n4,{one},PrivateTest\n3,{two},Training\n"
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n" + rows)
    words = ("fer2013", tmp_path, "-o", tmp_path / "fer.parquet", "--finder", "none")
    count = "more than once: 1, as 2 files (1 of 'train' also in 'test', 1 with more than one label)"
    text = " ".join(run(prepare, *words).split())
    assert f"{count}; all are kept; --drop-duplicates uses each in one split" in text
    assert f"images: {tmp_path / 'fer.images'}" in text
    assert (tmp_path / "fer.duplicates.csv").read_text().splitlines() == [
        "picture,image,split,label",
        "1,test/sadness/00002.png,test,sadness",
        "1,train/happiness/00001.png,train,happiness",
    ]
    text = " ".join(run(prepare, *words, "--drop-duplicates").split())
    assert f"{count}; each is used in one split only" in text
    assert "the same picture is in the split 'test'" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ferplus", ".", "--fold", 1), "--fold must be given only for the layouts mmi, bp4d"),
        (("ferplus", ".", "--aligned"), "--aligned must be given only for the layouts raf-db, raf-db-compound"),
        (("csv", "t.csv", "--vocabulary", "emoji"), "--vocabulary must be basic or compound, got 'emoji'"),
    ],
)
def test_options_of_other_layouts_are_refused(words, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run(prepare, *words, "-o", tmp_path / "x.parquet", "--finder", "none")
