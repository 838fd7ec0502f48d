"""`aue-crl doctor`: says what works by running it, and what to do about the rest."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import onnxruntime
import pytest

from aue_crl_core import engines
from aue_crl_core.cli.main import main
from aue_crl_core.faces import downloads
from aue_crl_core.faces.downloads import YUNET


def doctor(*arguments: str) -> int:
    try:
        main(["doctor", *arguments])
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUE_CRL_CACHE", str(tmp_path / "cache"))


def row(printed: str, name: str) -> str:
    (line,) = [line for line in printed.splitlines() if line.startswith(f" {name}  ")]
    return line


def test_it_reports_versions_weights_detectors_and_engines(capsys, photograph_path):
    assert doctor() == 0
    printed = capsys.readouterr().out
    assert np.__version__ in row(printed, "numpy")
    assert cv2.__version__ in row(printed, "cv2")
    assert onnxruntime.__version__ in row(printed, "onnxruntime")
    assert row(printed, "edge").split()[2:4] == ["7", "96"]
    assert "works" in row(printed, "cascade")
    assert "1 face in" in row(printed, "cascade")
    assert "aue-crl doctor --fetch yunet" in row(printed, "yunet")
    assert "works" in row(printed, "onnx on cpu")
    assert printed.rstrip().endswith("The base path works.")


def test_it_works_without_the_optional_packages_and_names_their_extras(capsys, monkeypatch):
    for package in ("matplotlib", "torch", "pyarrow"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "aue_crl_core.engines.torch", raising=False)
    assert doctor() == 0
    printed = capsys.readouterr().out
    assert "aue-crl[train]" in row(printed, "torch")
    assert "aue-crl[train]" in row(printed, "torch on cpu")
    assert "aue-crl[tables]" in row(printed, "pyarrow")
    assert "Run on a blank image" in printed


def test_damaged_weights_break_the_base_path(capsys, monkeypatch, tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(engines.WEIGHTS_DIRECTORY, weights)
    (weights / "edge.onnx").write_bytes((weights / "edge.onnx").read_bytes()[:100_000])
    monkeypatch.setattr(engines, "WEIGHTS_DIRECTORY", weights)
    assert doctor() == 1
    printed = capsys.readouterr().out
    assert "broken" in row(printed, "onnx on cpu")
    assert "The base path does not work here" in printed


@pytest.fixture
def own_server(tmp_path, monkeypatch, photograph_path):
    """A web server on this machine in place of the one that serves YuNet; it serves a file of another content."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    root = tmp_path / "served"
    root.mkdir()
    shutil.copy(photograph_path, root / "model.onnx")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entry = dataclasses.replace(YUNET, url=f"http://127.0.0.1:{server.server_port}/model.onnx")
    monkeypatch.setattr(downloads, "DOWNLOADS", (entry,))
    yield root / "model.onnx"
    server.shutdown()
    server.server_close()


def test_fetch_refuses_a_file_of_another_content(capsys, own_server, tmp_path):
    assert doctor("--fetch", "yunet") == 1
    captured = capsys.readouterr()
    assert "MIT licence" in captured.out
    assert hashlib.sha256(own_server.read_bytes()).hexdigest() in captured.err
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetch_keeps_the_file_and_says_where(capsys, own_server, monkeypatch, tmp_path):
    data = own_server.read_bytes()
    (served,) = downloads.DOWNLOADS
    right = dataclasses.replace(served, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    monkeypatch.setattr(downloads, "DOWNLOADS", (right,))
    assert doctor("--fetch", "yunet") == 0
    saved = tmp_path / "cache" / YUNET.filename
    assert f"its SHA-256 is right: {saved}" in capsys.readouterr().out
    assert saved.read_bytes() == data
