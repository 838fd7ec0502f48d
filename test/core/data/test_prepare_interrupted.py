"""Ctrl-C in the middle of `aue-crl prepare`, and the same command again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")

from aue_crl_core.data.prepare import prepare

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups and SIGINT are POSIX")


def _command(root: Path, output: Path, workers: int) -> list[str]:
    words = ["prepare", "raf-db", str(root), "-o", str(output), "--finder", "own", "--workers", str(workers)]
    return [sys.executable, "-m", "aue_crl_core", *words]


def _heed_interrupts() -> None:
    """Tests that run in a shell's background are born deaf to Ctrl-C, and their children with them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.is_file() else 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_is_kept_and_the_same_command_goes_on(raf_root, tmp_path, workers):
    output = tmp_path / "raf.parquet"
    cache = output.with_name("raf.parquet.faces.jsonl")
    command = _command(raf_root, output, workers)
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_heed_interrupts
    )
    while process.poll() is None and _lines(cache) < 6:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    done = _lines(cache)
    assert f"interrupted: {done} images are done and kept; the same command goes on from there" in said
    assert 6 <= done < 72
    assert not output.exists()

    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert f"{done} images were taken from an earlier run's results" in again.stdout
    assert _lines(cache) == 72


def test_an_interrupt_between_a_result_and_its_count_is_counted_right(raf_root, tmp_path):
    output = tmp_path / "raf.parquet"
    told = []

    def progress(done: int, total: int) -> None:
        if done == 3 and -1 not in told:
            told.append(-1)  # the third line is written, and nobody heard of it
            raise KeyboardInterrupt
        told.append(done)

    with pytest.raises(KeyboardInterrupt):
        prepare("raf-db", raf_root, output, None, progress=progress)
    assert told == [0, 1, 2, -1, 3]
    assert _lines(output.with_name("raf.parquet.faces.jsonl")) == 3
