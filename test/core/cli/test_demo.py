"""`aue-crl demo`: one line from a fresh install to a face with its expression."""

from __future__ import annotations

import re
import sys

import pytest

from aue_crl_core.cli.main import main
from aue_crl_core.facs import BASIC_EXPRESSIONS
from aue_crl_core.media.reading.pixels import load_image


def demo(*arguments: object) -> int:
    try:
        main(["demo", *map(str, arguments)])
    except SystemExit as ended:
        return ended.code or 0
    return 0


def test_it_names_the_photograph_prints_all_expressions_and_writes_the_overlay(capsys, photograph, tmp_path):
    assert demo("--output", tmp_path / "new") == 0
    printed = capsys.readouterr().out
    assert "Grace Hopper" in printed
    assert "public domain" in printed
    assert [name for name in BASIC_EXPRESSIONS if name not in printed] == []
    assert printed.count("AU") == len(BASIC_EXPRESSIONS)
    overlay = tmp_path / "new" / "aue-crl-demo.jpg"
    assert f"Written: {overlay}" in printed
    drawn = load_image(overlay)
    assert drawn.shape == photograph.shape
    assert (drawn[160:330, 170:360].astype(int) - photograph[160:330, 170:360]).std() > 5


def test_without_matplotlib_it_names_the_extra_that_brings_the_photograph(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert demo("--output", tmp_path) == 2
    assert capsys.readouterr().err.rstrip().endswith("pip install 'aue-crl[demo]'")


def test_a_folder_that_cannot_be_written_is_named(capsys, tmp_path, photograph_path):
    (tmp_path / "file").write_text("")
    assert demo("--output", tmp_path / "file") == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["onnx", "torch", "openvino"])
def test_all_engines_find_the_face_where_it_is(capsys, engine, tmp_path, photograph_path):
    if engine != "onnx":
        pytest.importorskip(engine)
    assert demo("--output", tmp_path, "--engine", engine) == 0
    faces = re.findall(r"Face f1, (\d+)x(\d+) px at \((\d+), (\d+)\)", capsys.readouterr().out)
    assert [[float(value) for value in face] for face in faces] == [pytest.approx([184, 167, 173, 161], abs=12)]
