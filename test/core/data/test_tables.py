"""A user's own table, CSV or Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_trees import POINTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.tables import passed_over, read_csv, read_parquet
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS, BASIC_EXPRESSIONS, COMPOUND_EXPRESSIONS
from aue_crl_core.types import FaceBox


@pytest.fixture
def table(tmp_path):
    """`table(text)` writes a CSV file; `table(text, name)` one of that name."""

    def make(text: str, name: str = "faces.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return make


def test_only_the_image_is_needed(table):
    assert list(read_csv(table("image\na.jpg\nb/c.png\n"))) == [Record("a.jpg", "train"), Record("b/c.png", "train")]


def test_every_column(table):
    numbers = " ".join(f"{v:.3f}" for v in POINTS.ravel())
    heading = "path,label,split,person,x,y,w,h,points,votes,AU1,AU06,au_12,AU25_c,AU14,remark"
    path = table(f'{heading}\na.jpg,Happy,valid,ann,10,20.5,30,40,{numbers},"1,0,0,3,0,0,0",1,0,,9,1,dark\n')
    (record,) = read_csv(path)
    assert BASIC_EXPRESSIONS[record.label] == "happiness"
    assert (record.split, record.subject) == ("valid", "ann")
    assert record.box == FaceBox(10, 20.5, 30, 40)
    assert (record.box_source, record.points_source) == ("layout", "layout")
    np.testing.assert_allclose(record.points, POINTS, atol=1e-3)
    assert record.votes == (0.25, 0, 0, 0.75, 0, 0, 0)
    assert record.action_units == tuple({1: 1, 6: 0}.get(unit, -1) for unit in ACTION_UNITS)


def test_a_label_may_stand_in_a_column_expression_as_results_have_it(table):
    (record,) = read_csv(table("image,Expression\na.jpg,happy\n"))
    assert BASIC_EXPRESSIONS[record.label] == "happiness"
    with pytest.raises(DatasetError, match="must have every column once, got 'label' 2 times"):
        list(read_csv(table("image,expression,label\na.jpg,happy,fear\n")))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_that_nothing_is_read_from_are_known(table, suffix):
    path = table("path;Emotion;AU12;AU99;split;who\na.jpg;happy;1;0;test;ann\n")
    if suffix == ".parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        csv = pytest.importorskip("pyarrow.csv")
        text = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=";"))
        pq.write_table(text, path := path.with_suffix(".parquet"))
    assert passed_over(path) == ("emotion", "who")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_may_be_apart_by_comma_semicolon_or_tab(table, delimiter):
    text = "\ufeffimage,label\r\na.jpg,fear\r\n\r\n".replace(",", delimiter)
    (record,) = read_csv(table(text))
    assert (record.image, record.label) == ("a.jpg", 1)


@pytest.mark.parametrize("label", [0, 4, 10])
def test_a_label_by_name_or_number(table, label):
    name = COMPOUND_EXPRESSIONS[label]
    text = f"image,label\na.jpg,{label}\nb.jpg,{name.title()}\nc.jpg,{name.replace(' ', '_')}\n"
    assert [r.label for r in read_csv(table(text), "compound")] == [label] * 3


def test_labels_and_splits_go_by_any_of_their_names(table):
    rows = [("Happy", "Training"), ("fearful", "VALIDATION"), ("AN", "dev"), ("Sad", "Testing"), ("joy", "clinic")]
    text = "image,label,split\n" + "".join(f"{i}.jpg,{label},{split}\n" for i, (label, split) in enumerate(rows))
    found = [(BASIC_EXPRESSIONS[r.label], r.split) for r in read_csv(table(text))]
    assert found == [
        ("happiness", "train"),
        ("fear", "valid"),
        ("anger", "valid"),
        ("sadness", "test"),
        ("happiness", "clinic"),
    ]


def _records_or_error(path: Path) -> list[Record] | DatasetError:
    try:
        return list(read_csv(path))
    except DatasetError as error:
        return error


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_whatever_the_text_it_is_read_or_refused_with_its_place(tmp_path, text):
    quoted = '"' + text.replace('"', '""') + '"'
    for content in (text, f"image,label\n{text}", f"image,label,box,AU1\na.jpg,{quoted},{quoted},{quoted}\n"):
        path = tmp_path / "t.csv"
        path.write_text(content, encoding="utf-8", newline="")
        result = _records_or_error(path)
        assert str(path) in str(result) if isinstance(result, DatasetError) else all(r.image for r in result)


def test_a_name_outside_of_the_vocabulary_is_listed_and_not_dropped_silently(table):
    known, other = read_csv(table("image,label\na.jpg,anger\nb.jpg,contempt\n"))
    assert known.usable
    assert (other.usable, other.reason) == (False, "label 'contempt' is no expression of the vocabulary")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.jpg,1\n", r"must have one column 'image' \(or 'path'\), got the columns file, label"),
        ("emotion,pixels,Usage\n0,1 2,Training\n", "emotion, pixels, usage; .* read by: aue-crl prepare fer2013"),
        ("image,path\na.jpg,b.jpg\n", "must have one column 'image'"),
        ("image,AU1,AU1\na.jpg,1,1\n", "must have every column once, got 'au1' 2 times"),
        ("", "must have one column 'image'"),
        ("image,label\na.jpg,7\n", r"faces\.csv:2: a label must be in \[0, 6\] \(surprise, .* got 7"),
        ("image,label\na.jpg,-1\n", r"faces\.csv:2: a label must be in \[0, 6\]"),
        ("image,label\n,1\n", r"faces\.csv:2: image must name a file"),
        ("image,label\na.jpg\n", r"faces\.csv:2 must have 2 cells as the heading has, got 1"),
        ("image,x,y,w,h\na.jpg,1,2,3,\n", r"faces\.csv:2: x, y, w, h must be 4 finite numbers"),
        ("image,x,y,w,h\na.jpg,1,2,0,9\n", r"faces\.csv:2: a box must be x y w h with w and h above 0"),
        ("image,box\na.jpg,1 2 3\n", r"faces\.csv:2: box must be 4 finite numbers, got '1 2 3'"),
        ("image,box\na.jpg,1 2 3 inf\n", r"faces\.csv:2: box must be 4 finite numbers"),
        ("image,points\na.jpg,1 2\n", r"faces\.csv:2: points must be 136 finite numbers"),
        ("image,votes\na.jpg,1 0 0 0 0 0 0\n", r"faces\.csv:2: votes must be .* beside a label"),
        ("image,AU4\na.jpg,3\n", r"faces\.csv:2, column au4 must be an occurrence, 0 or 1 .*got '3'"),
        ("image,label\na.jpg,1\na.jpg,2\n", r"faces\.csv:3: this face of a\.jpg is listed twice"),
        ('image,label\n"a.jpg,1\n', r"faces\.csv:2 must be a line of CSV"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(table, text, message):
    with pytest.raises(DatasetError, match=message):
        list(read_csv(table(text)))


def test_the_root_is_the_table_itself(tmp_path):
    with pytest.raises(DatasetError, match=r"ROOT must be the table itself, a \.csv file, got .* \(a folder\)"):
        list(read_csv(tmp_path))
    with pytest.raises(DatasetError, match="no such file"):
        list(read_csv(tmp_path / "none.csv"))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("image\nJörg.jpg\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="must be UTF-8 text"):
        list(read_csv(tmp_path / "t.csv"))


def test_parquet_says_the_same_as_csv(tmp_path, table):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = {
        "image": ["a.jpg", "b.jpg"],
        "label": [3, None],
        "box": [[1.0, 2.0, 3.0, 4.0], None],
        "AU12": [1, -1],
        "subject": ["ann", None],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    text = "image,label,box,AU12,subject\na.jpg,3,1 2 3 4,1,ann\nb.jpg,,,-1,\n"
    assert list(read_parquet(tmp_path / "t.parquet")) == list(read_csv(table(text)))


def test_pandas_nan_is_an_empty_cell(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = {"image": ["a.jpg", "b.jpg"], "label": [3.0, float("nan")], "AU1": [1.0, float("nan")]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    first, second = read_parquet(tmp_path / "t.parquet")
    assert (first.label, first.action_units[0]) == (3, 1)
    assert (second.label, second.action_units) == (None, None)


def test_an_index_is_no_table_and_half_a_file_is_none_either(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "i.parquet"
    DatasetIndex("csv", "basic", tmp_path, (Record("a.jpg", "train", label=0),)).write(path)
    with pytest.raises(DatasetError, match="is an index already: give it to train and evaluate with --data"):
        read_parquet(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match="not a whole Parquet file"):
        read_parquet(path)
