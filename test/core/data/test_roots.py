"""A ROOT that is one folder too high or too deep: the message says what lies there and where the set lies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aue_crl_core.data.layouts.table import LAYOUTS
from aue_crl_core.data.roots import listing
from aue_crl_core.errors import DatasetError


def _error(layout: str, root: Path, folder: Path) -> str:
    chosen = LAYOUTS[layout]
    with pytest.raises(DatasetError) as caught:
        list(chosen.read(root if chosen.unpack is None else chosen.unpack(root, folder)))
    return str(caught.value)


@pytest.fixture(params=["raf-db", "sfew", "mmi", "expw", "bp4d", "affectnet", "ck-plus", "fer2013"])
def dataset(request) -> tuple[str, Path]:
    """Layout, and the folder that is right for it."""
    name = {"raf-db": "small_raf"}.get(request.param, f"{request.param.replace('-', '_')}_root")
    return request.param, request.getfixturevalue(name)


def test_one_folder_too_high(dataset, tmp_path):
    layout, root = dataset
    message = _error(layout, root.parent, tmp_path / "images")
    assert f"found in {root.parent}: the folder {root.name}; it lies in {root}: give that as ROOT" in message
    assert "expected" in message


def test_one_folder_too_deep(dataset, tmp_path):
    layout, root = dataset
    deep = {"mmi": "Select_Frames/list", "bp4d": "AUCoding", "fer2013": "empty"}.get(layout)
    deep = root / deep if deep else next(path for path in sorted(root.iterdir()) if path.is_dir())
    deep.mkdir(exist_ok=True)
    message = _error(layout, deep, tmp_path / "images")
    right = root / "Select_Frames" if layout == "mmi" else root
    assert re.search(rf"found in {deep}: .+; it lies in {right}: give that as ROOT", message)


def test_a_folder_is_listed_by_its_folders_and_files(tmp_path):
    assert listing(tmp_path) == "nothing"
    (tmp_path / "a.txt").touch()
    assert listing(tmp_path) == "the file a.txt"
    for i in range(7):
        (tmp_path / f"d{i}").mkdir()
    assert listing(tmp_path) == "the folders d0, d1, d2, d3, d4 and 2 more and the file a.txt"
    assert listing(tmp_path / "gone") == "no such folder"
