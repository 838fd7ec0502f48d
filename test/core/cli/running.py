"""`aue-crl run` in this process, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

from aue_crl_core.cli.main import main

FRAMES = 12
"""Of the film `video_path`."""


def run(*arguments: object) -> int:
    """Its exit code."""
    try:
        main(["run", *map(str, arguments), "--threads", "1"])
    except SystemExit as ended:
        return ended.code or 0
    return 0


def rows_of(path: Path) -> list[dict]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
