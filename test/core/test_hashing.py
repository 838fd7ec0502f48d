"""Hashes of files."""

import hashlib

import pytest

from aue_crl_core.hashing import file_sha256


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (2 << 20) + 7])
def test_the_hash_is_that_of_all_bytes(tmp_path, size):
    content = bytes(i % 251 for i in range(size % 1000)) + bytes(size - size % 1000)
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
