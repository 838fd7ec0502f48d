"""Two trainings never write into one directory, and a killed one keeps nobody out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")

from aue_crl_core.errors import TrainingError
from aue_crl_core.training.directory.lock import LOCK_FILE, locked

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")

_HOLD = """
import os, sys, time
from pathlib import Path
from aue_crl_core.training.directory.lock import locked

with locked(Path(sys.argv[1])):
    if os.fork() == 0:  # as a worker that loads data
        time.sleep(600)
        os._exit(0)
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, with a worker, that has the lock of `tmp_path / "run"`."""
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "held\n"
    yield process
    os.killpg(process.pid, 9)
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_at_once_and_told_by_whom(holder, tmp_path):
    with pytest.raises(TrainingError, match=rf"under way in .*run \(process {holder.pid} on .*\); wait for it, end it"):
        locked(tmp_path / "run").__enter__()


def test_a_killed_process_keeps_nobody_out_though_its_workers_live_on(holder, tmp_path):
    holder.kill()
    holder.wait()
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")


def test_one_after_the_other_is_fine(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "run"):
            pass
