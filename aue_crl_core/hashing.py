"""What identifies a file by its content."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK: Final = 1 << 20
_MARK: Final = b"aue-crl sha256 "
_NOT_SEALED: Final = b"0" * 64
UNSEALED: Final = (_MARK + _NOT_SEALED).decode()
"""What a file that is to be sealed holds, once, anywhere."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 lower-case hexadecimal digits; `OSError` where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def seal(path: Path) -> None:
    """Write a file's own hash into it, in the place of `UNSEALED`; a file without that place stays as it is."""
    with path.open("r+b") as file:
        place = _seal_of(file)
        if place is not None:
            digest = _hash_around(file, place)
            file.seek(place)
            file.write(digest.encode())


def is_intact(path: Path) -> bool:
    """Whether a file is still as it was sealed; true of one that never was. `OSError` where it cannot be read."""
    with path.open("rb") as file:
        place = _seal_of(file)
        if place is None:
            return True
        file.seek(place)
        said = file.read(len(_NOT_SEALED))
        return said == _NOT_SEALED or said == _hash_around(file, place).encode()


def _seal_of(file: BinaryIO) -> int | None:
    """Where the digits of the hash begin."""
    if not os.fstat(file.fileno()).st_size:
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(_MARK)
        whole = start >= 0 and start + len(_MARK) + len(_NOT_SEALED) <= len(data)
    return start + len(_MARK) if whole else None


def _hash_around(file: BinaryIO, place: int) -> str:
    """SHA-256 of a file as if the digits at `place` were zeros."""
    digest = hashlib.sha256()
    file.seek(0)
    for start in range(0, place, _BLOCK):
        digest.update(file.read(min(_BLOCK, place - start)))
    digest.update(_NOT_SEALED)
    file.seek(place + len(_NOT_SEALED))
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
