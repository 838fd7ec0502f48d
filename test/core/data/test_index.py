"""The index: what goes in comes out, and what is no index is refused with the reason."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.errors import DatasetError
from aue_crl_core.types import FaceBox

number = st.floats(-1e6, 1e6, width=32)
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
shares = st.lists(st.floats(0, 1, width=32), min_size=7, max_size=7)
points = st.integers(0, 2**32 - 1).map(lambda s: np.random.default_rng(s).normal(50, 90, (68, 2)).astype(np.float32))
records = st.builds(
    Record,
    image=text,
    split=st.sampled_from(["train", "valid", "test", "fold 3"]),
    label=st.none() | st.integers(0, 6),
    votes=st.none() | shares.map(tuple),
    box=st.none() | st.builds(FaceBox, number, number, number, number),
    box_source=st.none() | st.sampled_from(["layout", "found"]),
    points=st.none() | points,
    points_source=st.none() | st.sampled_from(["layout", "mediapipe", "landmark_net"]),
    subject=st.none() | text,
    usable=st.booleans(),
    reason=st.none() | text,
    action_units=st.none() | st.lists(st.sampled_from([-1, 0, 1]), min_size=17, max_size=17).map(tuple),
    valence=st.none() | st.floats(-1, 1, width=32),
    arousal=st.none() | st.floats(-1, 1, width=32),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records, max_size=6).map(tuple))
def test_a_round_trip_through_the_file_changes_nothing(tmp_path, rows):
    index = DatasetIndex("folder", "basic", tmp_path, rows)
    index.write(tmp_path / "i.parquet")
    read = DatasetIndex.read(tmp_path / "i.parquet")
    assert (read.layout, read.vocabulary, read.root) == ("folder", "basic", tmp_path)
    assert read.data_hash == index.data_hash
    assert len(read.records) == len(rows)
    for mine, theirs in zip(rows, read.records, strict=True):
        assert dataclasses.replace(mine, points=None) == dataclasses.replace(theirs, points=None)
        np.testing.assert_array_equal(mine.points, theirs.points)


def _index(root: Path, **row: object) -> DatasetIndex:
    return DatasetIndex("folder", "basic", root, (Record("a.jpg", "train", **{"label": 0, **row}),))


def _rewritten(path: Path, change) -> Path:
    """The index at `path` with its table put through `change`, its metadata kept unless changed."""
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    return path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "i.parquet"
    _index(tmp_path, votes=(1, 0, 0, 0, 0, 0, 0)).write(path)
    return path


def _with_about(path: Path, **changes: object) -> Path:
    def change(table):
        about = json.loads(table.schema.metadata[b"aue_crl"]) | changes
        return table.replace_schema_metadata({b"aue_crl": json.dumps(about).encode()})

    return _rewritten(path, change)


def test_the_root_can_be_replaced_when_the_images_moved(written, tmp_path):
    index = DatasetIndex.read(written, root=tmp_path / "new")
    assert index.path(index.records[0]) == tmp_path / "new" / "a.jpg"


def test_no_file_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(DatasetError, match="aue-crl prepare LAYOUT ROOT --output"):
        DatasetIndex.read(tmp_path / "none.parquet")


@pytest.mark.parametrize("keep", [0, 3, 500, -8])
def test_a_file_cut_short_is_refused(written, keep):
    written.write_bytes(written.read_bytes()[:keep])
    with pytest.raises(DatasetError, match="not a whole Parquet file"):
        DatasetIndex.read(written)


def test_a_parquet_file_of_somebody_else_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "i.parquet")
    with pytest.raises(DatasetError, match="index of schema 1, got None"):
        DatasetIndex.read(tmp_path / "i.parquet")


def test_an_index_of_a_later_schema_is_refused(written):
    with pytest.raises(DatasetError, match="index of schema 1, got 2"):
        DatasetIndex.read(_with_about(written, schema=2))


def test_an_unknown_vocabulary_is_refused(written):
    with pytest.raises(DatasetError, match="vocabulary basic or compound, got 'emoji'"):
        DatasetIndex.read(_with_about(written, vocabulary="emoji"))


def test_metadata_without_a_root_is_refused(written):
    with pytest.raises(DatasetError, match="must name its root"):
        DatasetIndex.read(_with_about(written, root=None))


@pytest.mark.parametrize("text", [b"{...", b"[]", b"\xff", b"[" * 100_000])
def test_damaged_metadata_is_refused(written, text):
    path = _rewritten(written, lambda table: table.replace_schema_metadata({b"aue_crl": text}))
    with pytest.raises(DatasetError, match=r"the 'aue_crl' metadata of .* must be (JSON|a JSON object), got"):
        DatasetIndex.read(path)


def test_a_missing_column_is_named(written):
    path = _rewritten(written, lambda table: table.drop_columns(["votes", "reason"]))
    with pytest.raises(DatasetError, match="votes, reason are missing"):
        DatasetIndex.read(path)


def test_a_column_whose_name_is_not_utf_8_is_refused(written):
    written.write_bytes(written.read_bytes().replace(b"arousal", b"arous\xcbl"))
    with pytest.raises(DatasetError, match="is not a whole Parquet file: 'utf-8' codec"):
        DatasetIndex.read(written)


def test_an_index_from_before_action_units_is_read(written):
    path = _rewritten(written, lambda table: table.drop_columns(["action_units"]))
    assert DatasetIndex.read(path).records == (Record("a.jpg", "train", label=0, votes=(1, 0, 0, 0, 0, 0, 0)),)


def test_a_column_of_another_type_is_refused(written):
    def change(table):
        return table.set_column(table.schema.get_field_index("label"), "label", pa.array(["anger"]))

    with pytest.raises(DatasetError, match="column of another type"):
        DatasetIndex.read(_rewritten(written, change))


def test_further_columns_and_wider_numbers_do_no_harm(written):
    def change(table):
        table = table.set_column(table.schema.get_field_index("label"), "label", pa.array([4], pa.int64()))
        return table.append_column("photographer", pa.array(["me"]))

    assert DatasetIndex.read(_rewritten(written, change)).records[0].label == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": 7}, r"label of a\.jpg must be in \[0, 6\], got 7"),
        ({"label": -1}, r"label of a\.jpg must be in \[0, 6\], got -1"),
        ({"votes": (0.5, 0.5)}, r"votes of a\.jpg must be 7 finite numbers"),
        ({"votes": (np.nan,) * 7}, r"votes of a\.jpg must be 7 finite numbers"),
        ({"box": FaceBox(0, 0, np.inf, 1)}, r"box of a\.jpg must be 4 finite numbers"),
        ({"points": np.zeros((5, 2), np.float32)}, r"points of a\.jpg must be 136 finite numbers"),
        ({"points": np.full((68, 2), np.nan, np.float32)}, r"points of a\.jpg must be 136 finite numbers"),
        ({"split": None}, r"split of a\.jpg must be given"),
        ({"action_units": (0,) * 16}, r"action_units of a\.jpg must be 17 of 0, 1 and -1"),
        ({"action_units": (9,) * 17}, r"action_units of a\.jpg must be 17 of 0, 1 and -1"),
    ],
)
def test_a_value_that_does_not_fit_the_schema_is_named(tmp_path, row, message):
    index = _index(tmp_path)
    dataclasses.replace(index, records=(dataclasses.replace(index.records[0], **row),)).write(tmp_path / "i.parquet")
    with pytest.raises(DatasetError, match=message):
        DatasetIndex.read(tmp_path / "i.parquet")


def test_votes_may_tie(tmp_path):
    _index(tmp_path, votes=(0.5, 0.5, 0, 0, 0, 0, 0)).write(tmp_path / "i.parquet")
    assert DatasetIndex.read(tmp_path / "i.parquet").records[0].votes[:2] == (0.5, 0.5)


def test_a_split_is_selected_or_the_ones_there_are_named(tmp_path):
    rows = tuple(Record(f"{i}.jpg", split, label=0) for i, split in enumerate(["train", "test", "train"]))
    index = DatasetIndex("folder", "basic", tmp_path, rows)
    assert [r.image for r in index.select("train").records] == ["0.jpg", "2.jpg"]
    with pytest.raises(DatasetError, match=r"no split 'valid'; it has \{'train': 2, 'test': 1\}"):
        index.select("valid")


@pytest.mark.parametrize(
    ("record", "learnable"),
    [
        (Record("a.png", "train", label=0), True),
        (Record("a.png", "train"), False),
        (Record("a.png", "train", label=0, usable=False, reason="no face"), False),
    ],
)
def test_what_is_usable_and_has_a_label_can_be_learned_from(record, learnable):
    assert record.learnable is learnable


def test_the_hash_follows_labels_and_not_the_folder(tmp_path):
    index = _index(tmp_path)
    assert dataclasses.replace(index, root=Path("elsewhere")).data_hash == index.data_hash
    assert _index(tmp_path, label=1).data_hash != index.data_hash
    seen, absent = ((1,) * 17, (0,) * 17)
    assert _index(tmp_path, action_units=seen).data_hash != _index(tmp_path, action_units=absent).data_hash


def test_the_hash_is_the_same_before_writing_and_after_reading(tmp_path):
    index = _index(tmp_path, votes=(0.1, 0.2, 0.7, 0, 0, 0, 0))
    index.write(tmp_path / "i.parquet")
    assert DatasetIndex.read(tmp_path / "i.parquet").data_hash == index.data_hash


def test_the_hash_of_data_without_action_units_is_that_of_older_versions(tmp_path):
    assert _index(tmp_path).data_hash == hashlib.sha256(b"a.jpg|train|0|None|True\n").hexdigest()[:16]


def test_writing_over_an_older_index_leaves_no_part_behind(written, tmp_path):
    _index(tmp_path, label=3).write(written)
    assert DatasetIndex.read(written).records[0].label == 3
    assert [p.name for p in tmp_path.iterdir()] == ["i.parquet"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "raise ImportError('pyarrow needs numpy>=2, got 1.26')",
            "it is installed, but does not import: pyarrow needs",
        ),
        (
            "raise ModuleNotFoundError('gone', name='pyarrow')",
            "needs the package 'pyarrow': pip install 'aue-crl[tables]'",
        ),
    ],
)
def test_a_pyarrow_that_does_not_import_says_why(tmp_path, text, message):
    (tmp_path / "pyarrow.py").write_text(text + "\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from pathlib import Path\n"
    code += "from aue_crl_core.data.index import DatasetIndex; DatasetIndex.read(Path('i.parquet'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "MissingDependencyError" in done.stderr
    assert message in done.stderr
