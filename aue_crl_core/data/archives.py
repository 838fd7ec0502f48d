"""Archives that still lie packed where a dataset's images should be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_ARCHIVE: Final = re.compile(
    r".+\.(zip|rar|7z|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz|zst)|z\d\d|(zip|7z|rar)\.\d{3})", re.IGNORECASE
)


def packed(folders: Iterable[Path]) -> list[Path]:
    """The archives directly in `folders` (those that exist), sorted; of a split one every part."""
    existing = {folder for folder in folders if folder.is_dir()}
    return sorted(path for folder in existing for path in folder.iterdir() if _ARCHIVE.fullmatch(path.name))


def packed_hint(*folders: Path) -> str:
    """What to add to the message about a missing part: names the archives in `folders`; empty where there are none."""
    found = packed(folders)
    if not found:
        return ""
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"; {found[0]}{more} is still packed: unpack it there first"
