"""Hashes of files."""

import hashlib

import pytest

from aue_crl_core.hashing import UNSEALED, file_sha256, is_intact, seal


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (2 << 20) + 7])
def test_the_hash_is_that_of_all_bytes(tmp_path, size):
    content = bytes(i % 251 for i in range(size % 1000)) + bytes(size - size % 1000)
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("before", [b"", b"x", bytes(1 << 20), bytes((1 << 20) + 3)])
def test_a_sealed_file_is_intact_until_a_byte_changes(tmp_path, before):
    file = tmp_path / "file"
    file.write_bytes(before + UNSEALED.encode() + b"after")
    assert is_intact(file)
    seal(file)
    sealed = file.read_bytes()
    assert is_intact(file)
    assert UNSEALED.encode() not in sealed
    for place in (-1, len(before) + len(UNSEALED) - 1, *([0] if before else [])):
        changed = bytearray(sealed)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert not is_intact(file)


def test_a_seal_is_the_same_however_often_it_is_made(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"a" + UNSEALED.encode() + b"z")
    seal(file)
    once = file.read_bytes()
    seal(file)
    assert file.read_bytes() == once


@pytest.mark.parametrize("content", [b"", b"weights", UNSEALED.encode()[:-1]])
def test_a_file_without_a_seal_is_taken_as_it_is(tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    seal(file)
    assert file.read_bytes() == content
    assert is_intact(file)
