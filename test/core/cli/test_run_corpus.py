"""`aue-crl run --workers`: a folder of films into a folder of tables, again and again until all is there."""

from __future__ import annotations

import csv
import shutil

import av
import cv2
import numpy as np
import pytest

from aue_crl_core.cli.main import main

ds = pytest.importorskip("pyarrow.dataset")


def run(*arguments: object) -> int:
    try:
        main(["run", *map(str, arguments)])
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.fixture
def folder(tmp_path, photograph):
    path = tmp_path / "films" / "face.mp4"
    path.parent.mkdir()
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.height, stream.width = 300, 256
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(photograph[::2, ::2]), format="rgb24")
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    (path.parent / "broken.mp4").write_bytes(b"no film" * 99)
    return path.parent


def test_the_same_command_reads_only_what_is_new(folder, tmp_path, capsys):
    out = tmp_path / "out"
    cv2.imwritemulti(str(folder / "pages.tiff"), [np.zeros((40, 30, 3), np.uint8)] * 2)
    assert run(folder, "--workers", 1, "--output", out) == 1, "one failed"
    said = capsys.readouterr()
    assert "files: 2 read, 0 there already, 1 failed; 4 frames" in said.out
    assert "broken.mp4 cannot be opened" in " ".join(said.err.split())
    assert "1 failed, all of them in" in said.err
    assert f"note: {folder / 'pages.tiff'} holds several pictures or a moving one; the first was read" in said.err
    assert ds.dataset(out).to_table().num_rows == 3
    with (out / "_run" / "failed.csv").open() as file:
        assert [row["source"] for row in csv.DictReader(file)] == [str(folder / "broken.mp4")]
    (folder / "broken.mp4").unlink()
    assert run(folder, "--workers", 1, "--output", out) == 0
    assert "files: 0 read, 2 there already, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--output must be a folder beside --workers, got None"),
        (["--output", "faces.jsonl"], "--output must be a folder beside --workers, got 'faces.jsonl'"),
        (["--output", "out", "--overlay", "o"], "--workers must go without"),
        (["0", "--output", "out"], "--workers must be of files, without cameras and streams, got '0'"),
    ],
)
def test_what_does_not_go_together_is_refused(folder, tmp_path, monkeypatch, capsys, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    assert run(folder, "--workers", 2, *arguments) == 2
    assert complaint in capsys.readouterr().err
    assert not shutil.os.path.exists("out")
