"""Whatever the text files of a dataset hold, records or a `DatasetError` come out of every layout."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aue_crl_core.data import tables
from aue_crl_core.data.annotations import read_ids
from aue_crl_core.data.layouts import bp4d, expw, ferplus, mmi, raf_db
from aue_crl_core.errors import DatasetError

NOT_UTF_8 = "grün 1\n".encode("latin-1")
SHEET = "0," + ",".join(map(str, bp4d.ACTION_UNITS)) + "\n1" + ",0" * 12 + "\n"
LAYOUTS = {
    "expw": (expw.read, "data/label/label.lst", "a.jpg 0 1 2 3 4 50.0 1\n", ["data/image/origin"]),
    "ferplus": (ferplus.read, "data/FER2013Train/label.csv", 'a.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0\n', []),
    "raf-db": (
        raf_db.read_basic,
        "basic/EmoLabel/list_patition_label.txt",
        "train_1.jpg 5\n",
        ["basic/Image/original"],
    ),
    "bp4d": (bp4d.read, "AUCoding/AU_OCC/F001_T1.csv", SHEET, ["2D+3D"]),
    "mmi": (
        mmi.read,
        "list/id_train_list_crossval0.txt",
        "1/0001\n",
        ["Imgs", "Emotions", "list/id_val_list_crossval0.txt"],
    ),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request, tmp_path_factory):
    """A layout's `read`, its root, its text file, and what that holds."""
    read, file, text, others = LAYOUTS[request.param]
    root = tmp_path_factory.mktemp(request.param)
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in others:
        other = root / name
        if other.suffix:
            other.write_text("2/0001\n")
        else:
            other.mkdir(parents=True)
    for clip in (1, 2):
        if request.param == "mmi":
            label = root / f"Emotions/{clip}/0001.txt"
            label.parent.mkdir()
            label.write_text("3\n")
    path.write_text(text)
    return read, root, path, text


def test_the_tree_is_one_of_the_layout(layout):
    read, root, path, text = layout
    path.write_text(text)
    assert list(read(root))


def test_a_file_that_is_not_utf_8_is_named_with_its_line(layout):
    read, root, path, text = layout
    path.write_bytes(text.encode() + NOT_UTF_8)
    with pytest.raises(DatasetError, match=rf"{path.name}:\d+ must be UTF-8 text, got the byte 0xfc"):
        list(read(root))


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_text_gives_records_or_a_dataset_error(layout, data):
    read, root, path, text = layout
    pieces = st.sampled_from(
        ["9" * 5000, "9" * 400, "1e400", "\0", '"', "²", "n" * 5000, "/etc/passwd", "../x", " ", "\n"]
    )
    at, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 6))
    path.write_text(text[:at] + data.draw(pieces | st.text(max_size=4)) + text[at + cut :], encoding="utf-8")
    with suppress(DatasetError):
        assert all(record.image for record in read(root))


def test_a_cut_row_of_expw_is_named(tmp_path):
    (tmp_path / "data/image/origin").mkdir(parents=True)
    (tmp_path / "data/label").mkdir()
    (tmp_path / "data/label/label.lst").write_text("a.jpg 0 1 2 3 4 50.0 1\nb.jpg\n")
    with pytest.raises(DatasetError, match=r"label\.lst:2 must read NAME FACE .* \(1 columns\)"):
        list(expw.read(tmp_path))


@pytest.mark.parametrize("name", ["/etc/passwd", "../../x"])
def test_a_list_names_nothing_outside_the_dataset(tmp_path, name):
    path = tmp_path / "ids.txt"
    path.write_text(f"a/0001\n{name}\n")
    with pytest.raises(DatasetError, match=r"ids\.txt:2 must name an image below the dataset's folder"):
        read_ids(path)


@given(
    st.text(max_size=30) | st.sampled_from(["9" * 400, "9" * 5000, "-1e400"]),
    st.sampled_from(["label", "box", "AU1", "au9999"]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cell_of_a_table_is_a_record_or_a_dataset_error(tmp_path, cell, column):
    path: Path = tmp_path / "t.csv"
    path.write_text(f"image,{column}\na.jpg,{cell}\n", encoding="utf-8", errors="replace")
    with suppress(DatasetError):
        list(tables.read_csv(path))
