"""Optional files: fetched on request only, checked, and never left half there."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aue_crl_core.errors import ConfigError
from aue_crl_core.faces import downloads
from aue_crl_core.faces.downloads import DOWNLOADS, YUNET, Download, DownloadError, cache_directory, fetch, fetched


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch, photograph_path) -> Download:
    """A real photograph behind a web server on this machine, described as an optional file."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    content = photograph_path.read_bytes()
    root = tmp_path / "served"
    root.mkdir()
    (root / "photo.jpg").write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Download(
        "photo",
        "saved.jpg",
        f"http://127.0.0.1:{server.server_port}/photo.jpg",
        hashlib.sha256(content).hexdigest(),
        len(content),
        "public domain",
    )
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_right_file_is_saved_under_its_name_and_its_progress_told(served, tmp_path, photograph_path):
    told = []
    path = fetch(served, tmp_path / "new" / "cache", on_progress=lambda got, total: told.append((got, total)))
    assert path == tmp_path / "new" / "cache" / "saved.jpg"
    assert path.read_bytes() == photograph_path.read_bytes()
    assert names(path.parent) == ["saved.jpg"]
    assert told[-1] == (served.size, served.size)
    assert fetched(served, path.parent) == path


def test_a_file_that_is_there_is_not_fetched_again(served, tmp_path, photograph_path):
    (tmp_path / "saved.jpg").write_bytes(photograph_path.read_bytes())
    unreachable = dataclasses.replace(served, url="http://127.0.0.1:9/")
    assert fetch(unreachable, tmp_path) == tmp_path / "saved.jpg"


def test_a_damaged_file_counts_as_absent_and_is_replaced(served, tmp_path, photograph_path):
    content = photograph_path.read_bytes()
    (tmp_path / "saved.jpg").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fetched(served, tmp_path) is None
    assert fetch(served, tmp_path).read_bytes() == content


def test_another_content_is_refused_with_both_hashes_and_nothing_is_kept(served, tmp_path):
    expected = "0" * 64
    folder = tmp_path / "cache"
    with pytest.raises(DownloadError, match=f"SHA-256 {expected}, got {served.sha256}"):
        fetch(dataclasses.replace(served, sha256=expected), folder)
    assert names(folder) == []


def test_a_longer_content_is_refused_too(served, tmp_path):
    with pytest.raises(DownloadError, match="must have SHA-256"):
        fetch(dataclasses.replace(served, size=10, sha256="1" * 64), tmp_path / "cache")


@pytest.mark.parametrize("path", ["/absent.jpg", None], ids=["not found", "no server"])
def test_an_address_that_fails_says_where_to_put_the_file_by_hand(served, tmp_path, path):
    url = "http://127.0.0.1:9/" if path is None else served.url.replace("/photo.jpg", path)
    folder = tmp_path / "cache"
    with pytest.raises(DownloadError) as caught:
        fetch(dataclasses.replace(served, url=url), folder)
    assert url in str(caught.value)
    assert str(folder / "saved.jpg") in str(caught.value)
    assert names(folder) == []


def test_a_folder_that_cannot_be_made_is_named(served, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DownloadError, match="AUE_CRL_CACHE"):
        fetch(served, tmp_path / "file" / "cache")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"one of \['yunet'\], got 'yolo'"):
        fetch("yolo")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("AUE_CRL_CACHE", raising=False)
    assert cache_directory() == tmp_path / ".cache" / "aue_crl"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == tmp_path / ".cache" / "aue_crl"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "aue_crl"
    monkeypatch.setenv("AUE_CRL_CACHE", "~/own")
    assert cache_directory() == tmp_path / "own"


def test_every_entry_is_pinned_to_a_commit_over_https():
    assert downloads.download("yunet") is YUNET
    for entry in DOWNLOADS:
        assert entry.url.startswith("https://")
        assert entry.url.endswith("/" + entry.filename)
        assert "/main/" not in entry.url
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.size > 0
