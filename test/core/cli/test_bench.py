"""`aue-crl bench`: it times real faces and says on what."""

from __future__ import annotations

import json

import pytest

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.cli.bench import HEIGHT, WIDTH, picture_of
from aue_crl_core.cli.main import main


def bench(*arguments: object) -> int:
    try:
        main(["bench", "--seconds", "0", "--threads", "1", *map(str, arguments)])
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.mark.parametrize("faces", [1, 8])
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


def test_an_untrained_network_is_timed_and_called_untrained(capsys, photograph_path, tmp_path):
    pytest.importorskip("torch")
    assert bench("--model", "edge", "--json", tmp_path / "bench.json") == 0
    assert "edge (random weights)" in capsys.readouterr().out
    assert json.loads((tmp_path / "bench.json").read_text())["engine"] == "torch"


def test_a_detector_that_does_not_see_the_faces_is_an_error_not_a_wrong_figure(capsys, photograph_path):
    assert bench("--detector", "none") == 2
    assert "must find" in capsys.readouterr().err
