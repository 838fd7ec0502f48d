"""A growing file is whole at any moment: full disks, folders that vanish, places that take nothing."""

from __future__ import annotations

import shutil

import pytest

from aue_crl_core.errors import OutputError
from aue_crl_core.media.writing.growing import GrowingFile


@pytest.fixture
def file(tmp_path):
    file = GrowingFile(tmp_path / "new folder" / "file")
    yield file
    file.close()


def add(file, piece):
    file.write(piece)
    file.end_piece()


def test_on_a_full_disk_it_ends_with_the_last_whole_piece(file, disk_with):
    with disk_with(1000):
        for _ in range(3):
            add(file, b"p" * 300)
        with pytest.raises(OutputError, match=r"new folder/file cannot be written any further: .*; what is in it"):
            add(file, b"q" * 300)
    file.write(b"to nowhere")
    file.close()
    assert file.path.read_bytes() == b"p" * 900


def test_a_piece_may_be_written_in_parts_and_corrected(file, disk_with):
    file.write(b"12__")
    file.seek(2)
    file.write(b"34")
    file.end_piece()
    with disk_with(6):
        file.write(b"56")
        file.write(b"78")
        with pytest.raises(OutputError):
            file.end_piece()
    assert file.path.read_bytes() == b"1234"


def test_a_removed_folder_is_noticed(file):
    add(file, b"piece")
    shutil.rmtree(file.path.parent)
    with pytest.raises(OutputError, match=r"file was removed, moved or replaced while it was written; choose"):
        add(file, b"piece")


def test_a_file_in_its_place_is_noticed(file):
    add(file, b"piece")
    file.path.unlink()
    file.path.write_bytes(b"another")
    with pytest.raises(OutputError, match="replaced"):
        add(file, b"piece")


def test_a_device_that_takes_nothing(tmp_path):
    (tmp_path / "file").symlink_to("/dev/full")
    file = GrowingFile(tmp_path / "file")
    with pytest.raises(OutputError, match="No space left on device"):
        add(file, b"piece")
    file.close()


def test_reserved_room_is_there_when_the_disk_is_full(file, disk_with):
    file.write(b"piece")
    file.reserve(100)
    with disk_with(105):
        with pytest.raises(OutputError, match="cannot be written any further"):
            file.reserve(101)
        file.write(b"p" * 100)
        file.end_piece()
        file.write(b"q")
        with pytest.raises(OutputError):
            file.end_piece()


def test_finished_it_has_its_name_and_no_room_to_spare(file):
    file.write(b"all")
    file.reserve(1000)
    file.finish_as(file.path.with_name("done"))
    assert [(path.name, path.read_bytes()) for path in file.path.parent.iterdir()] == [("done", b"all")]
