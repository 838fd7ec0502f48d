"""Archives beside a missing part."""

from __future__ import annotations

import pytest

from aue_crl_core.data.archives import packed, packed_hint


@pytest.mark.parametrize("name", ["a.zip", "a.ZIP", "a.7z", "a.7z.001", "a.z01", "a.rar", "a.tar", "a.tar.gz", "a.tgz"])
def test_an_archive_is_known_by_its_name(tmp_path, name):
    (tmp_path / name).touch()
    assert packed([tmp_path]) == [tmp_path / name]


@pytest.mark.parametrize("name", ["a.jpg", "zip", ".zip", "a.zip.txt", "label.lst"])
def test_other_files_are_none(tmp_path, name):
    (tmp_path / name).touch()
    assert packed([tmp_path]) == []


def test_the_hint_names_the_first_and_counts_the_others(tmp_path):
    assert packed_hint(tmp_path, tmp_path / "none") == ""
    (tmp_path / "b.zip").touch()
    assert packed_hint(tmp_path) == f"; {tmp_path / 'b.zip'} is still packed: unpack it there first"
    (tmp_path / "a.zip").touch()
    assert packed_hint(tmp_path, tmp_path).startswith(f"; {tmp_path / 'a.zip'} and 1 more is still packed")
