"""Which frames were looked at, beside the rows of the faces that were found: so "no face" is known from "not read"."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aue_crl_core.types import Frame
from aue_crl_core.whole_file import whole_file

METADATA_KEY: Final = "aue_crl.frames"
"""Under which a Parquet file's own metadata has the log."""


@dataclass
class _Source:
    frame: list[int] = field(default_factory=list)
    time_s: list[float] = field(default_factory=list)
    faces: list[int] = field(default_factory=list)


class FrameLog:
    """Every frame of every source, in the order read."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def add(self, frame: Frame, faces: int) -> None:
        """Note a frame in which so many faces were found."""
        seen = self._sources.setdefault(frame.source, _Source())
        seen.frame.append(frame.index)
        seen.time_s.append(round(float(frame.time_s), 4))
        seen.faces.append(faces)

    def to_json(self) -> str:
        """A list of sources: how many `frames` were read, in how many was no face (`frames_without_face`), and of each
        its number (`frame`), its `time_s` and how many `faces` it has."""
        sources = [
            {
                "source": name,
                "frames": len(seen.frame),
                "frames_without_face": seen.faces.count(0),
                **{"frame": seen.frame, "time_s": seen.time_s, "faces": seen.faces},
            }
            for name, seen in self._sources.items()
        ]
        return json.dumps(sources, ensure_ascii=False)

    def write_beside(self, table: Path) -> None:
        """Write the side file of a table without metadata of its own.

        Raises:
            OutputError: it cannot be written.
        """
        with whole_file(frame_log_path(table)) as part:
            part.write_text(self.to_json() + "\n", encoding="utf-8")


def frame_log_path(table: Path) -> Path:
    """The side file of a table without metadata of its own: `faces.jsonl.frames.json` of `faces.jsonl`."""
    return table.with_name(table.name + ".frames.json")
