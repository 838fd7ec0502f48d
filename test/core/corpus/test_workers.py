"""Films in several processes: one that dies takes its film with it, and no other."""

from __future__ import annotations

import multiprocessing
import threading
import time

from aue_crl_core.corpus.part import CorpusSettings
from aue_crl_core.corpus.workers import process_files


def kill_the_first_process() -> None:
    while not multiprocessing.active_children():
        time.sleep(0.01)
    multiprocessing.active_children()[0].kill()


def test_a_process_that_is_killed_costs_one_film(films, tmp_path):
    paths = [str(films / "a/film.mp4"), str(films / "b/film.mp4")]
    killer = threading.Thread(target=kill_the_first_process)
    killer.start()
    first, second = process_files(paths, CorpusSettings(), tmp_path, 1)
    killer.join()
    assert first.source == paths[0]
    assert "was killed by signal 9" in first.problem
    assert (second.source, second.frames, second.problem) == (paths[1], 3, "")
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    assert multiprocessing.active_children() == []


def test_who_stops_leaves_no_processes_and_no_half_parts(films, tmp_path):
    paths = [str(films / name) for name in ("b/film.mp4", "a/film.mp4", "cut.mkv")]
    outcomes = process_files(paths, CorpusSettings(), tmp_path, 1)
    assert next(outcomes).frames == 3
    outcomes.close()
    assert multiprocessing.active_children() == []
    assert list((tmp_path / "_run").glob("*.part")) == []
