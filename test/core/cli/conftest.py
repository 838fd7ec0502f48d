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


@pytest.fixture(scope="session")
def small_crops(tmp_path_factory) -> Path:
    """Settings for `train --config`: crops of 64 pixels, which train in less than half of the time."""
    path = tmp_path_factory.mktemp("settings") / "small.yaml"
    path.write_text("preprocessing: {input_size: 64}\n")
    return path
