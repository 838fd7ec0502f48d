"""What identifies a file by its content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

_BLOCK: Final = 1 << 20


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 lower-case hexadecimal digits; `OSError` where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
