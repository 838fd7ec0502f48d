"""Many films at once on one machine, each in a process of its own engine; one that dies takes one film with it."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import cv2

from aue_crl_core.corpus.part import CorpusSettings, Outcome, process_file
from aue_crl_core.errors import AueCrlError


@dataclass
class _Worker:
    process: BaseProcess
    film: str


def process_files(
    paths: Sequence[str], settings: CorpusSettings, out_dir: str | Path, workers: int
) -> Iterator[Outcome]:
    """`process_file` of every path, in up to `workers` processes; outcomes as they come.

    However it ends, its processes end with it. A film whose process dies (for want of memory) has that for its
    `problem`, and the others go on.

    Raises:
        AueCrlError: as `process_file`.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(paths))
    busy: dict[Connection, _Worker] = {}

    def start() -> None:
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, settings, Path(out_dir)), daemon=True)
        process.start()
        there.close()
        busy[here] = _Worker(process, waiting.pop())
        here.send(busy[here].film)

    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                start()
            for connection in wait(list(busy)):
                worker = busy[connection]
                try:
                    outcome = connection.recv()
                except (EOFError, ConnectionError):
                    del busy[connection]
                    yield _died(worker)
                    continue
                if isinstance(outcome, str):
                    raise AueCrlError(outcome)
                if waiting:
                    worker.film = waiting.pop()
                    with suppress(ConnectionError):  # it died: the end of its results tells
                        connection.send(worker.film)
                else:
                    del busy[connection]
                    connection.close()
                    worker.process.join()
                yield outcome
    finally:
        for worker in busy.values():
            worker.process.terminate()
            worker.process.join()


def _serve(connection: Connection, settings: CorpusSettings, out_dir: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the process that started this one too: it decides
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # by way of what clears up
    cv2.setNumThreads(settings.threads)
    while True:
        try:
            path = connection.recv()
        except EOFError:
            return
        try:
            connection.send(process_file(path, settings, out_dir))
        except AueCrlError as error:
            connection.send(str(error))


def _died(worker: _Worker) -> Outcome:
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"was killed by signal {-code}; was there too little memory?" if code < 0 else f"ended with exit code {code}"
    return Outcome(worker.film, problem=f"{worker.film} was not read: the process that read it {how}")
