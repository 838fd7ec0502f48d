"""Several runs at once, each in a process of its own: what one does, or how it ends, is nothing to the others."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
import traceback
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Final, NamedTuple, Protocol

import torch

from aue_crl_core.comparison.plan import Trial
from aue_crl_core.comparison.trial import run_trial
from aue_crl_core.data.index import DatasetIndex

_LOOK_S: Final = 1.0


class Listener(Protocol):
    """Hears how the runs go."""

    def started(self, trial: Trial) -> None:
        """A process begins with it, or goes on with it."""

    def ended(self, trial: Trial, reason: str | None) -> None:
        """It is finished, or it failed for a reason."""

    def waiting(self) -> None:
        """About a second has passed."""


class _Running(NamedTuple):
    trial: Trial
    process: BaseProcess
    reason: Connection


def run_all(trials: Sequence[Trial], data: Sequence[DatasetIndex], jobs: int, hear: Listener) -> None:
    """Run `trials` in order, `jobs` at once, which share this process's threads of torch; what is interrupted goes on
    with the next call.

    A process that starts the others, where the system has such (`forkserver`), imports torch once for all of them.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    packed, threads = pickle.dumps(list(data)), max(1, torch.get_num_threads() // jobs)
    left, running = deque(trials), {}
    try:
        while left or running:
            while left and len(running) < jobs:
                begun = _start(context, left.popleft(), packed, threads)
                running[begun.process.sentinel] = begun
                hear.started(begun.trial)
            for sentinel in wait(list(running), _LOOK_S):
                trial, process, reason = running.pop(sentinel)
                process.join()
                hear.ended(trial, _reason(process, reason))
            hear.waiting()
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            process.join()


def _start(context: BaseContext, trial: Trial, packed: bytes, threads: int) -> _Running:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(trial, packed, threads, theirs), name=trial.name)
    process.start()
    theirs.close()  # so that a process that is killed leaves nothing to wait for
    return _Running(trial, process, ours)


def _run(trial: Trial, packed: bytes, threads: int, reason: Connection) -> None:
    """The child's part: what it prints goes into the trial's log, why it failed to its parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    trial.log.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(trial.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    torch.set_num_threads(threads)
    try:
        run_trial(trial, pickle.loads(packed))
    except Exception as error:
        traceback.print_exc()
        reason.send(" ".join(f"{type(error).__name__}: {error}".split()))
        sys.exit(1)


def _end_with_parent() -> None:
    """A comparison that is killed leaves no runs behind that go on without it."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _reason(process: BaseProcess, reason: Connection) -> str | None:
    """Why a process failed, None where it did not: what it said, or else how it ended."""
    if process.exitcode == 0:
        return None
    try:
        return reason.recv()
    except EOFError:  # it was killed
        return f"its process ended with exit code {process.exitcode} (-9: killed, often for want of memory)"
