"""A film of a corpus is read once, whole, into a part of its own; what is half done is nothing."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import cv2
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from aue_crl_core.analyzer import AnalyzerConfig
from aue_crl_core.corpus.part import CorpusSettings, finished, part_name, process_file
from aue_crl_core.errors import AueCrlError, CheckpointError
from aue_crl_core.media.writing.sinks import ParquetSink

SETTINGS = CorpusSettings()


@pytest.fixture
def out_dir(tmp_path):
    return tmp_path / "out"


def test_films_of_one_name_have_parts_of_their_own_that_read_as_one_table(films, out_dir):
    first, second = (process_file(films / name, SETTINGS, out_dir) for name in ("a/film.mp4", "b/film.mp4"))
    assert (first.frames, first.faces, first.problem) == (4, 4, "")
    assert (second.frames, second.faces, second.problem) == (3, 3, "")
    rows = ds.dataset(out_dir).to_table(columns=["source", "frame", "face_id"]).to_pylist()
    assert sorted((row["source"], row["frame"]) for row in rows) == [
        *((str(films / "a/film.mp4"), index) for index in range(4)),
        *((str(films / "b/film.mp4"), index) for index in range(3)),
    ]
    assert {row["face_id"] for row in rows} == {"f1"}, "whatever was read before it in the same process"


def test_a_finished_film_is_not_read_again(films, out_dir):
    outcome = process_file(films / "b/film.mp4", SETTINGS, out_dir)
    part = out_dir / part_name(films / "b/film.mp4")
    os.utime(part, (1, 1))
    assert process_file(films / "b/film.mp4", SETTINGS, out_dir) == outcome
    assert process_file(films / "b/film.mp4", replace(SETTINGS, threads=2), out_dir) == outcome
    assert part.stat().st_mtime == 1


def test_another_content_or_other_settings_are_read_anew_into_the_same_part(films, out_dir, tmp_path):
    film = tmp_path / "film.mp4"
    shutil.copy(films / "a/film.mp4", film)
    process_file(film, SETTINGS, out_dir)
    assert finished(film, replace(SETTINGS, analyzer=AnalyzerConfig(max_faces=1)), out_dir) is None
    shutil.copy(films / "b/film.mp4", film)
    assert finished(film, SETTINGS, out_dir) is None
    process_file(film, SETTINGS, out_dir)
    (part,) = out_dir.glob("*.parquet")
    assert pq.read_table(part).num_rows == 3


@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt, MemoryError])
def test_a_film_that_was_begun_and_not_ended_leaves_nothing(films, out_dir, monkeypatch, stopped_by):
    def stop(*_):
        raise stopped_by

    monkeypatch.setattr(ParquetSink, "write", stop)
    with pytest.raises(stopped_by):
        process_file(films / "b/film.mp4", SETTINGS, out_dir)
    assert [path for path in out_dir.rglob("*") if path.is_file()] == []


def test_what_a_kill_left_behind_is_no_part(films, out_dir):
    name = part_name(films / "b/film.mp4")
    (out_dir / "_run").mkdir(parents=True)
    for left in (f"_run/host-7-{name}.part", f"_run/{name}.json"):
        (out_dir / left).write_bytes(b'{"of": ')
    assert finished(films / "b/film.mp4", SETTINGS, out_dir) is None
    assert process_file(films / "b/film.mp4", SETTINGS, out_dir).frames == 3
    assert pq.read_table(out_dir / name).num_rows == 3


def test_of_a_damaged_film_what_can_be_read_is_kept_and_the_problem_remembered(films, out_dir):
    outcome = process_file(films / "cut.mkv", SETTINGS, out_dir)
    assert 0 < outcome.frames < 12
    assert "ends mid-frame" in outcome.problem
    assert finished(films / "cut.mkv", SETTINGS, out_dir) == outcome


def test_what_is_said_of_a_picture_is_remembered(photograph, tmp_path, out_dir):
    cv2.imwritemulti(str(tmp_path / "pages.tiff"), [photograph[::2, ::2]] * 2)
    outcome = process_file(tmp_path / "pages.tiff", SETTINGS, out_dir)
    assert outcome.frames == 1
    assert "pages.tiff holds several pictures" in outcome.notes[0]
    assert finished(tmp_path / "pages.tiff", SETTINGS, out_dir) == outcome


@pytest.mark.parametrize(("name", "reason"), [("none.mp4", "cannot be opened"), ("gone.mp4", "does not exist")])
def test_a_film_that_cannot_be_read_has_no_part_and_is_tried_again(films, out_dir, name, reason):
    outcome = process_file(films / name, SETTINGS, out_dir)
    assert outcome.frames == 0
    assert reason in outcome.problem
    assert finished(films / name, SETTINGS, out_dir) is None
    assert list(out_dir.glob("*.parquet")) == []


def test_settings_that_suit_no_film_end_it(films, out_dir):
    with pytest.raises(CheckpointError):
        process_file(films / "b/film.mp4", replace(SETTINGS, weights="no such"), out_dir)


def test_a_folder_that_is_gone_ends_it(films, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AueCrlError, match="cannot be written"):
        process_file(films / "b/film.mp4", SETTINGS, tmp_path / "file")
