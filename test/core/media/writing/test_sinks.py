"""Tables: the documented record, whatever the format, and a valid file whatever happens."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError, MissingDependencyError, OutputError
from aue_crl_core.media.writing.layout import TableLayout
from aue_crl_core.media.writing.sinks import open_sink
from aue_crl_core.types import Frame

SUFFIXES = [".jsonl", ".csv", ".parquet"]


@pytest.fixture(autouse=True)
def _parquet_is_installed(request):
    if ".parquet" in request.node.name or "parquet" in request.node.name:
        pytest.importorskip("pyarrow")


@pytest.fixture
def frame(photograph):
    return Frame(photograph, source="clips/söndag.mp4", index=7, time_s=0.28)


def read_rows(path):
    """The records of a table, the same from all three formats (CSV: regrouped)."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path).to_pylist()
    with path.open(encoding="utf-8", newline="") as file:
        return [_regrouped(row) for row in csv.DictReader(file)]


def _regrouped(row):
    units = {str(unit): float(row[f"au_{unit}"]) for unit in facs.ACTION_UNITS}
    names = {name: float(row["p_" + name.replace(" ", "_")]) for name in facs.BASIC_EXPRESSIONS}
    return {
        **{name: row[name] for name in ("source", "face_id", "expression", "state")},
        "frame": int(row["frame"]),
        **{name: float(row[name]) for name in ("time_s", "confidence")},
        "box": [float(row[f"box_{name}"]) for name in "xywh"],
        "probabilities": names,
        "action_units": units,
        **({"landmarks": [[float(row[f"x_{i}"]), float(row[f"y_{i}"])] for i in range(68)]} if "x_0" in row else {}),
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_the_same_record(tmp_path, frame, predict, suffix):
    faces = [predict("f1", "happiness"), predict("f2", "fear", shift=(40, 3), state="uncertain")]
    with open_sink(tmp_path / f"new folder/out{suffix}") as sink:
        sink.write(frame, faces)
    rows = read_rows(tmp_path / f"new folder/out{suffix}")
    assert len(rows) == 2
    for row, face in zip(rows, faces, strict=True):
        expected = face.as_record(frame)
        assert set(row) == set(expected)
        for name in ("source", "frame", "time_s", "face_id", "expression", "state"):
            assert row[name] == expected[name]
        for name in ("probabilities", "action_units"):
            assert row[name] == pytest.approx(expected[name])
        assert row["confidence"] == pytest.approx(0.875)
        np.testing.assert_allclose(row["box"], expected["box"], rtol=1e-6)
        np.testing.assert_allclose(row["landmarks"], expected["landmarks"], rtol=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_points_the_rest_of_the_record_is_the_same(tmp_path, frame, predict, suffix):
    whole, private = tmp_path / f"whole{suffix}", tmp_path / f"private{suffix}"
    for path, points in ((whole, True), (private, False)):
        with open_sink(path, points=points) as sink:
            sink.write(frame, [predict("f1")])
    (expected,), (row,) = read_rows(whole), read_rows(private)
    assert expected.pop("landmarks")
    assert row == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_face_no_row_but_a_valid_file(tmp_path, frame, suffix):
    path = tmp_path / f"out{suffix}"
    with open_sink(path) as sink:
        sink.write(frame, [])
    assert path.is_file()
    assert read_rows(path) == []


def read_log(path):
    """What a table says of the frames that were read."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return json.loads(pq.read_metadata(path).metadata[b"aue_crl.frames"])
    return json.loads(path.with_name(path.name + ".frames.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("every_frame", [False, True])
def test_the_frames_that_were_read_are_known_with_a_face_or_without(tmp_path, frame, predict, suffix, every_frame):
    path = tmp_path / f"out{suffix}"
    film = [dataclasses.replace(frame, index=i, time_s=i / 25) for i in (7, 8, 9)]
    with open_sink(path, every_frame=every_frame) as sink:
        for each, faces in zip(film, ([predict("f1"), predict("f2")], [], [predict("f1")]), strict=True):
            sink.write(each, faces)
    (log,) = read_log(path)
    assert (log["source"], log["frames"], log["frames_without_face"]) == (frame.source, 3, 1)
    assert (log["frame"], log["time_s"], log["faces"]) == ([7, 8, 9], [0.28, 0.32, 0.36], [2, 0, 1])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_frame_has_a_row_where_that_is_asked_for(tmp_path, frame, predict, suffix):
    path = tmp_path / f"out{suffix}"
    with open_sink(path, every_frame=True) as sink:
        sink.write(frame, [predict("f1", "fear")])
        sink.write(dataclasses.replace(frame, index=8, time_s=0.32), [])
    if suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            found, none = csv.DictReader(file)
        assert (found["success"], none["success"]) == ("1", "0")
        assert [name for name, value in none.items() if value] == ["source", "frame", "time_s", "success"]
    else:
        found, none = read_rows(path)
        assert (found["success"], none["success"]) == (True, False)
        assert none.get("expression") is None
        assert none.get("probabilities") is None
    assert (found["expression"], none["source"], int(none["frame"]), float(none["time_s"])) == (
        *("fear", frame.source),
        *(8, 0.32),
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_sided_units_have_columns_where_asked_for(tmp_path, frame, predict, suffix):
    sides = {"left": dict.fromkeys(facs.SIDED_UNITS, 0.75), "right": dict.fromkeys(facs.SIDED_UNITS, 0.25)}
    faces = [replace(predict("f1", "happiness"), sides=sides), predict("f2", "fear", shift=(40, 3))]
    for name, asked in (("with", True), ("without", False)):
        with open_sink(tmp_path / (name + suffix), sides=asked) as sink:
            sink.write(frame, faces)
    if suffix == ".csv":
        told, turned_away = csv.DictReader((tmp_path / "with.csv").open())
        assert (told["au_12_left"], told["au_12_right"], turned_away["au_12_left"]) == ("0.75", "0.25", "")
        assert (tmp_path / "without.csv").read_text().splitlines()[0].split(",") == TableLayout().csv_columns()
    else:
        told, turned_away = read_rows(tmp_path / f"with{suffix}")
        assert (told["sides"]["left"]["12"], told["sides"]["right"]["12"]) == (0.75, 0.25)
        assert not turned_away.get("sides")


def test_the_csv_header_is_there_before_any_face(tmp_path):
    with open_sink(tmp_path / "out.csv"):
        header = (tmp_path / "out.csv").read_text().strip().split(",")
    assert header == TableLayout().csv_columns()
    assert header[:8] == ["source", "frame", "time_s", "face_id", "box_x", "box_y", "box_w", "box_h"]
    assert len(header) == len(set(header)) == 11 + 7 + 17 + 136


def test_parquet_columns_are_typed_also_without_rows(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    open_sink(tmp_path / "out.parquet").close()
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert schema.field("frame").type == pa.int64()
    assert schema.field("landmarks").type.value_type.value_type == pa.float32()
    assert [field.name for field in schema.field("probabilities").type] == list(facs.BASIC_EXPRESSIONS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_compound_expressions_have_their_own_columns(tmp_path, frame, predict, suffix):
    names = facs.COMPOUND_EXPRESSIONS
    with open_sink(tmp_path / f"out{suffix}", expressions=names) as sink:
        sink.write(frame, [predict("f1", "sadly angry", vocabulary="compound")])
    if suffix == ".csv":
        (row,) = csv.DictReader((tmp_path / "out.csv").open())
        assert float(row["p_sadly_angry"]) == 0.875
        assert "p_happiness" not in row
    else:
        (row,) = read_rows(tmp_path / f"out{suffix}")
        assert list(row["probabilities"]) == list(names)
        assert row["probabilities"]["sadly angry"] == pytest.approx(0.875)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_what_was_written_survives_a_kill(tmp_path, frame, predict, suffix):
    sink = open_sink(tmp_path / f"out{suffix}")
    sink.write(frame, [predict()])
    assert len(read_rows(tmp_path / f"out{suffix}")) == 1, "readable before the file is closed"
    sink.close()


def test_parquet_appears_only_when_complete_and_long_films_go_in_groups(tmp_path, frame, predict):
    import pyarrow.parquet as pq

    path, faces = tmp_path / "out.parquet", [predict(f"f{i}") for i in range(50)]
    with open_sink(path) as sink:
        for _ in range(50):
            sink.write(frame, faces)
        assert not path.exists()
        assert (tmp_path / "out.parquet.part").is_file()
    assert not (tmp_path / "out.parquet.part").exists()
    file = pq.ParquetFile(path)
    assert file.metadata.num_rows == 2500
    assert file.num_row_groups >= 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupted_run_keeps_its_rows(tmp_path, frame, predict, suffix):
    path = tmp_path / f"out{suffix}"

    def run():
        with open_sink(path) as sink:
            sink.write(frame, [predict()])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(read_rows(path)) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_whole_rows_up_to_the_last_frame(tmp_path, photograph, predict, disk_with, suffix):
    path = tmp_path / f"out{suffix}"
    written = 0

    def run():
        nonlocal written
        with open_sink(path) as sink:
            for index in range(800):
                faces = [predict(name, shift=(0.7 * index, 0.3 * index)) for name in ("f1", "f2")]
                sink.write(Frame(photograph, "walk.mp4", index=index, time_s=index / 25), faces)
                written = index + 1

    with disk_with(100_000), pytest.raises(OutputError, match=f"out{suffix} cannot be written any further"):
        run()
    rows = read_rows(path)
    frames = [row["frame"] for row in rows]
    assert frames == sorted([*range(len(rows) // 2)] * 2), "both faces of every frame, none left out"
    assert len(frames) > 20
    assert suffix == ".parquet" or len(frames) == 2 * written, "rows of Parquet wait in memory"
    assert path.stat().st_size > 50_000, "what room there was is used"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_is_removed_meanwhile_is_noticed(tmp_path, frame, predict, suffix):
    sink = open_sink(tmp_path / f"a/out{suffix}")
    sink.write(frame, [predict()])
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(OutputError, match="was removed, moved or replaced"):
        sink.write(frame, [predict()])


def test_another_suffix_names_the_three(tmp_path):
    with pytest.raises(ConfigError, match=r"must end in \.jsonl, \.csv or \.parquet, got '.*out\.xlsx'"):
        open_sink(tmp_path / "out.xlsx")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_place_that_cannot_be_written(tmp_path, suffix):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        open_sink(tmp_path / "file" / f"out{suffix}")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"needs the package 'pyarrow': pip install 'aue-crl\[tables\]'"):
        open_sink(tmp_path / "out.parquet")
