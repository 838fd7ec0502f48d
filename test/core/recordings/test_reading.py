"""Rows read again: the three kinds of tables say the same, and damage is named with its line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from film_rows import AWAY, FRAMES, SMILE

from aue_crl_core import facs
from aue_crl_core.errors import DatasetError
from aue_crl_core.media.writing.frame_log import frame_log_path
from aue_crl_core.recordings.reading import read_recording
from aue_crl_core.recordings.recording import STATES


@pytest.mark.parametrize("every_frame", [False, True])
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_every_kind_of_table_gives_what_was_written(write_rows, suffix, every_frame):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    recording = read_recording(write_rows(f"faces.{suffix}", every_frame))
    (film,) = recording.films
    assert recording.expressions == facs.BASIC_EXPRESSIONS
    assert (film.source, film.frames, film.empty) == ("film.mp4", FRAMES, len(AWAY))
    assert (film.start_s, film.end_s) == (0, pytest.approx((FRAMES - 1) / 10))
    first, second = film.tracks
    assert (first.face_id, second.face_id) == ("f1", "f2")
    assert first.frames.tolist() == [i for i in range(FRAMES) if i not in AWAY]
    assert first.times == pytest.approx(first.frames / 10)
    happy = [recording.expressions[label] == "happiness" for label in first.labels]
    assert happy == [i in SMILE for i in first.frames]
    assert [STATES[s] for s in second.states[:2]] == ["low_quality", "uncertain"]
    assert first.boxes[0].tolist() == [170, 130, 190, 200]
    assert first.units[12, facs.ACTION_UNITS.index(12)] == pytest.approx(0.8)
    assert np.allclose(first.probabilities.sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_rows_without_face_points_are_private(write_rows, suffix, points):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    recording = read_recording(write_rows(f"faces.{suffix}", every_frame=True, points=points))
    assert recording.private is not points
    assert len(recording.tracks) == 2


def test_without_a_log_frames_without_a_face_are_not_known(write_rows):
    path = write_rows("faces.jsonl")
    frame_log_path(path).unlink()
    (film,) = read_recording(path).films
    assert (film.frames, film.empty) == (FRAMES - len(AWAY), None)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_intensities_are_read_where_the_rows_tell_them(write_rows, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    recording = read_recording(write_rows(f"faces.{suffix}"))
    assert recording.intensity_units == (12, 25)
    smiling = recording.tracks[0].intensities[SMILE[0]]
    assert smiling[facs.ACTION_UNITS.index(12)] == pytest.approx(4.2)
    assert np.isnan(smiling).sum() == 15


def test_rows_of_a_model_without_intensities_have_none(write_rows):
    path = write_rows("faces.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "intensities"}) + "\n" for row in rows))
    recording = read_recording(path)
    assert recording.intensity_units == ()
    assert np.isnan(recording.tracks[0].intensities).all()


def test_action_units_that_a_model_does_not_have_are_not_known(write_rows):
    path = write_rows("faces.jsonl")
    rows = [json.loads(line) | {"action_units": {}} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert np.isnan(read_recording(path).tracks[0].units).all()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"source": "a"', "must be JSON"),
        (r"[1]", "must be a JSON object"),
        ('{"source": "a", "frame": 0}', "no field 'time_s'"),
        ('{"source": "a", "frame": 0, "time_s": 0, "face_id": "f1"}', "no field 'probabilities'"),
        ('{"source": "a", "frame": 0, "time_s": NaN}', "finite"),
        ('{"source": "a", "frame": 1e999, "time_s": 0}', "must be a row"),
    ],
)
def test_a_line_of_another_kind_is_refused_with_its_number(write_rows, line, why):
    path = write_rows("faces.jsonl", frames=2)
    count = len(path.read_text().splitlines())
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(DatasetError, match=rf"faces\.jsonl:{count + 1} .*{why}"):
        read_recording(path)


@pytest.mark.parametrize("field", ["frame", "time_s", "box", "expression", "state", "probabilities", "action_units"])
@pytest.mark.parametrize("value", [None, "x", [1], 1e400, 10**400])
def test_a_field_of_another_kind_is_refused(write_rows, field, value):
    path = write_rows("faces.jsonl", frames=2)
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([*rest, json.dumps(json.loads(first) | {field: value})]))
    with pytest.raises(DatasetError, match=r"faces\.jsonl:\d+ must"):
        read_recording(path)


def test_tables_that_are_none_are_refused(tmp_path, write_rows):
    for name, text, why in (
        ("faces.txt", "", "must be a .jsonl, .csv or .parquet file"),
        ("empty.jsonl", "", "has no row"),
        ("cut.csv", 'source,frame,time_s\na,0,"', "must be a line of CSV|as many cells"),
        ("short.csv", "source,frame,time_s\na,0\n", "as many cells"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(DatasetError, match=why):
            read_recording(tmp_path / name)
    with pytest.raises(DatasetError, match="no such file"):
        read_recording(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    "log",
    ["", "3", '[{"frame": [3]}]', '[{"source": "a", "frame": [0], "time_s": [NaN]}]', '[{"source": "a", "frame": 1}]'],
)
def test_a_log_of_another_kind_is_refused(write_rows, log):
    path = write_rows("faces.jsonl", frames=2)
    frame_log_path(path).write_text(log)
    with pytest.raises(DatasetError, match="must be the log of frames"):
        read_recording(path)


def test_a_damaged_parquet_file_is_refused(write_rows):
    pytest.importorskip("pyarrow")
    path = write_rows("faces.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="is not a whole Parquet file"):
        read_recording(path)
