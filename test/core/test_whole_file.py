"""A file is all of the new one or all of the old one, whatever happens while it is written."""

from __future__ import annotations

import pytest

from aue_crl_core.errors import OutputError
from aue_crl_core.whole_file import whole_file


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    return path


def test_it_has_its_name_when_all_is_written(tmp_path, old):
    for path in (old, tmp_path / "new folder/table.csv"):
        with whole_file(path) as part:
            part.write_text("new")
            assert not path.is_file() or path.read_text() == "old"
        assert path.read_text() == "new"
        assert [p.name for p in path.parent.glob("*.csv*")] == ["table.csv"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_after_a_failure_the_old_one_is_there_and_nothing_else(tmp_path, old, failure):
    def half():
        with whole_file(old) as part:
            part.write_text("half")
            raise failure

    with pytest.raises(failure):
        half()
    assert old.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_full_disk_is_said(tmp_path, old, disk_with):
    refusal = pytest.raises(OutputError, match=r"table\.csv cannot be written: File too large")
    with disk_with(10), refusal, whole_file(old) as part:
        part.write_text("new" * 10)
    assert old.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_so_is_a_place_that_is_none(tmp_path, old):
    with pytest.raises(OutputError, match="cannot be written"), whole_file(old / "below") as part:
        part.write_text("new")
