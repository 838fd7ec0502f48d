"""A dataset of eight real photographs that a test may spoil, and its index."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aue_crl_core.data.finders import OwnFinder
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.prepare import prepare


def _copy(raf_root: Path, target: Path) -> Path:
    labels = "basic/EmoLabel/list_patition_label.txt"
    lines = (raf_root / labels).read_text().splitlines()[:8]
    (target / labels).parent.mkdir(parents=True)
    (target / labels).write_text("\n".join(lines) + "\n")
    images = target / "basic/Image/original"
    images.mkdir(parents=True)
    for line in lines:
        shutil.copy(raf_root / "basic/Image/original" / line.split()[0], images)
    return target


@pytest.fixture
def small_raf(raf_root: Path, tmp_path: Path) -> Path:
    """Eight photographs in the RAF-DB layout, this test's own."""
    return _copy(raf_root, tmp_path / "raf")


@pytest.fixture(scope="session")
def prepared(raf_root: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    """The index of such a set, with points; not to be spoiled."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("prepared")
    return prepare("raf-db", _copy(raf_root, folder / "raf"), folder / "raf.parquet", OwnFinder).index
