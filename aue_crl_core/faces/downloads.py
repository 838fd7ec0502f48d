"""Optional files that are fetched on request only: their addresses and hashes, in this one place."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aue_crl_core.errors import ConfigError, DownloadError
from aue_crl_core.hashing import file_sha256

_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Download:
    """One optional file: `size` in bytes, `sha256` in lower-case hex digits, `licence` an SPDX name."""

    name: str
    filename: str
    url: str
    sha256: str
    size: int
    licence: str


YUNET: Final = Download(
    name="yunet",
    filename="face_detection_yunet_2023mar.onnx",
    url=(
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/966be4cb6eefc2a4f586ed0581bf4bbaa2533070/"
        "models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
    ),
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size=232589,
    licence="MIT",
)
DOWNLOADS: Final = (YUNET,)


def download(name: str) -> Download:
    """The entry of that name.

    Raises:
        ConfigError: no such name.
    """
    for entry in DOWNLOADS:
        if entry.name == name:
            return entry
    raise ConfigError(f"download must be one of {[entry.name for entry in DOWNLOADS]}, got {name!r}")


def cache_directory() -> Path:
    """Where fetched files live: $AUE_CRL_CACHE, else $XDG_CACHE_HOME/aue_crl, else ~/.cache/aue_crl."""
    own = os.environ.get("AUE_CRL_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification says that relative paths are to be ignored.
    return (Path(shared) if os.path.isabs(shared) else Path("~/.cache").expanduser()) / "aue_crl"


def fetched(entry: Download, directory: Path | None = None) -> Path | None:
    """The path of `entry` in `directory` (default: the cache) where the file is there and whole, else None."""
    path = (directory or cache_directory()) / entry.filename
    if not path.is_file() or path.stat().st_size != entry.size:
        return None
    return path if file_sha256(path) == entry.sha256 else None


def fetch(
    entry: Download | str,
    directory: Path | None = None,
    *,
    timeout_s: float = 30.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Download `entry` into `directory` (default: the cache), check its hash, and return its path.

    Nothing is transferred where the whole file is there already. The file appears under its name only when it is
    complete and right. `on_progress(bytes so far, bytes in all)` is called as it arrives.

    Raises:
        ConfigError: `entry` is a name that is not known.
        DownloadError: the address can't be reached, the content is another, or the directory can't be written.
    """
    if isinstance(entry, str):
        entry = download(entry)
    folder = directory or cache_directory()
    present = fetched(entry, folder)
    if present is not None:
        return present
    target = folder / entry.filename
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=entry.filename, suffix=".part", dir=folder)
    except OSError as error:
        raise DownloadError(
            f"{entry.name} must be saved in {folder}, got: {error}; make it writable, or name another folder in "
            "AUE_CRL_CACHE"
        ) from error
    try:
        with open(handle, "wb") as file:
            got = _transfer(entry, file, target, timeout_s, on_progress)
        if got != entry.sha256:
            raise DownloadError(
                f"{entry.url} must have SHA-256 {entry.sha256}, got {got}; nothing was kept. A proxy or a sign-in "
                f"page may have answered. {_by_hand(entry, target)}"
            )
        os.chmod(partial, 0o644)
        os.replace(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    return target


def _transfer(
    entry: Download,
    file: BinaryIO,
    target: Path,
    timeout_s: float,
    on_progress: Callable[[int, int], None] | None,
) -> str:
    """Copy the address's content into `file`, at most one chunk past the expected size; return its SHA-256."""
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(entry.url, timeout=timeout_s) as response:
            while size <= entry.size and (chunk := response.read(_CHUNK)):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                if on_progress is not None:
                    on_progress(size, entry.size)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{entry.url} could not be read: {error}. {_by_hand(entry, target)}") from error
    return digest.hexdigest()


def _by_hand(entry: Download, target: Path) -> str:
    return f"Without a network: download it elsewhere ({entry.size} bytes) and put it at {target}"
