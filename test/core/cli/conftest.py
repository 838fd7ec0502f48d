"""What several commands are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fer_index(fer_root, tmp_path_factory) -> Path:
    """An index of FER+ with the shipped net's points."""
    pytest.importorskip("pyarrow")
    from invoked import run

    from aue_crl_core.cli import prepare

    path = tmp_path_factory.mktemp("fer") / "fer.parquet"
    run(prepare, "ferplus", fer_root, "--output", path, "--finder", "own")
    return path
