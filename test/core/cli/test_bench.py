"""`aue-crl bench`: it times real faces and says on what."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.cli import limits
from aue_crl_core.cli.bench import HEIGHT, WIDTH, picture_of
from aue_crl_core.cli.limits import Machine, cost_of, known_limit
from aue_crl_core.cli.main import main
from aue_crl_core.config import model_config


def bench(*arguments: object) -> int:
    try:
        main(["bench", "--seconds", "0", "--threads", "1", *map(str, arguments)])
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.mark.parametrize("faces", [1, 4, 8])
def test_the_picture_holds_that_many_faces(photograph, faces):
    picture = picture_of(photograph, faces)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert len(FaceAnalyzer.load(threads=1).find([picture])[0]) == faces


def test_it_states_threads_and_times_every_part_at_one_and_eight_faces(capsys, photograph_path, tmp_path):
    assert bench("--markdown", "--json", tmp_path / "bench.json") == 0
    printed = capsys.readouterr().out
    assert "1 thread," in printed
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    assert lines[:2] == ["| part | faces | ms p50 | ms p95 | faces/s |", "| --- | ---: | ---: | ---: | ---: |"]
    assert len(lines) == 12
    assert {line.count("|") for line in lines} == {6}
    said = json.loads((tmp_path / "bench.json").read_text())
    assert (said["network"], said["engine"], said["threads"]) == ("edge", "onnx", 1)
    parts = {(row["part"].split(",")[0], row["faces"]) for row in said["rows"]}
    assert parts == {(part, n) for part in ("detection", "face points", "network", "whole path") for n in (1, 8)}
    for row in said["rows"]:
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["faces_per_second"] == pytest.approx(1000 * row["faces"] / row["p50_ms"])


def test_it_times_as_many_faces_as_are_asked_for(capsys, photograph_path, tmp_path):
    assert bench("--faces", 4, "--faces", 2, "--json", tmp_path / "bench.json") == 0
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert [row["faces"] for row in rows] == [4] * 5 + [2] * 5
    assert bench("--faces", 9) == 2


def test_an_untrained_network_is_timed_and_called_untrained(capsys, photograph_path, tmp_path):
    pytest.importorskip("torch")
    assert bench("--model", "edge", "--precision", "bf16", "--json", tmp_path / "bench.json") == 0
    said = capsys.readouterr().out
    assert "edge (random weights)" in said
    assert "torch on cpu in bf16" in said
    about = json.loads((tmp_path / "bench.json").read_text())
    assert (about["engine"], about["precision"]) == ("torch", "bf16")


def test_a_detector_that_does_not_see_the_faces_is_an_error_not_a_wrong_figure(capsys, photograph_path):
    assert bench("--detector", "none") == 2
    assert "must find" in capsys.readouterr().err


def test_a_floor_is_what_the_multiply_adds_or_the_bytes_must_take():
    helper = pytest.importorskip("onnx").helper
    weights = helper.make_tensor("w", 1, [8, 3, 3, 3], np.ones((8, 3, 3, 3), np.float32).tobytes(), raw=True)
    matrix = helper.make_tensor("m", 1, [8, 5], np.ones((8, 5), np.float32).tobytes(), raw=True)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", 1, [1, 3, None, None])
    y = helper.make_tensor_value_info("y", 1, [1, 5])
    graph = helper.make_graph(nodes, "small", [x], [y], [weights, matrix])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    multiply_adds, size = cost_of(model, {"x": np.zeros((1, 3, 10, 20), np.float32)})
    assert multiply_adds == 10 * 20 * 8 * 27 + 8 * 5
    assert size == 4 * (8 * 27 + 8 * 5 + 600 + 5)
    for rates, floor_ms in ((Machine(1e6, 1e12), multiply_adds / 1e3), (Machine(1e12, 1e6), size / 1e3)):
        row = known_limit("small", multiply_adds, size, rates, 2 * floor_ms)
        assert (row.floor_ms, row.ratio) == (pytest.approx(floor_ms), pytest.approx(2))


@pytest.mark.slow
def test_limits_name_every_part_and_the_papers_network(capsys, photograph_path, tmp_path, monkeypatch):
    """With the paper's trunk, and narrow layers behind it: these hold 1.7 GB, which take minutes to export."""
    pytest.importorskip("torch")
    narrow = replace(model_config("resnet101"), feature_dim=64, decoder_channels=(64, 64, 32), region_channels=8)
    narrow = replace(narrow, region_dim=8, fusion_dim=64)
    monkeypatch.setattr(limits, "model_config", lambda name: narrow)
    assert bench("--limits", "--json", tmp_path / "bench.json") == 0
    printed = capsys.readouterr().out
    said = json.loads((tmp_path / "bench.json").read_text())
    parts = {row["part"].split(" (")[0].split(",")[0]: row for row in said["limits"]}
    assert list(parts) == ["decode JPEG", "detect", "face points", "network", "paper's resnet101"]
    for row in said["limits"]:
        assert row["part"] in printed
        assert row["ratio"] == pytest.approx(row["measured_ms"] / row["floor_ms"])
    assert parts["paper's resnet101"]["multiply_adds"] > 50 * parts["network"]["multiply_adds"]
