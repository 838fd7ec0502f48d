"""`aue-crl evaluate FOLDER`: any folder of class-named folders is a test set."""

from __future__ import annotations

import shutil
from pathlib import Path

import invoked
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.cli import evaluate
from aue_crl_core.errors import ConfigError


def run(*words) -> str:
    """What the command prints, blanks as one; its own errors are raised."""
    return " ".join(invoked.run(evaluate, *words).split())


@pytest.fixture
def folder(tmp_path, raf_root) -> Path:
    """Two happy photographs, one sad one and one of contempt."""
    photographs = sorted((raf_root / "basic/Image/original").iterdir())
    for name, photograph in zip(("happy/a", "Happy/b", "SAD/c", "contempt/d"), photographs, strict=False):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photograph, tmp_path / "mine" / f"{name}.jpg")
    return tmp_path / "mine"


def test_a_folder_is_scored_without_an_index_or_a_report(folder):
    before = sorted(folder.rglob("*"))
    text = run(folder)
    assert "edge on folder all" in text
    assert "happiness 2 " in text
    assert "No image of surprise, fear, disgust, anger, neutral: mean class accuracy is that of the other 2." in text
    assert "1 images without a label take no part: contempt/d.jpg: folder 'contempt' is no basic expression" in text
    assert sorted(folder.rglob("*")) == before


def test_an_index_of_one_split_is_scored_whatever_it_is_called(folder, tmp_path):
    pytest.importorskip("pyarrow")
    from aue_crl_core.data.prepare import prepare

    prepare("folder", folder, tmp_path / "mine.parquet", None)
    text = run(tmp_path / "mine.parquet")
    assert "all 4 images are scored, whatever their split (train)" in text
    assert "edge on folder all" in text


def test_what_is_scored_is_given_once(folder, tmp_path):
    with pytest.raises(ConfigError, match="FOLDER or INDEX must be given once, got 'nothing'"):
        run()
    with pytest.raises(ConfigError, match="FOLDER or INDEX must be given once"):
        run(folder, "--data", folder)
    with pytest.raises(ConfigError, match="--root must be given with an index only"):
        run(folder, "--root", tmp_path)
