"""A table of events: one row is one expression or action unit of a face that began, peaked or ended."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from aue_crl_core.config import require
from aue_crl_core.dynamics.readings import Event
from aue_crl_core.errors import ConfigError
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.types import Frame

EVENT_COLUMNS: Final = (
    *("source", "frame", "time_s", "face_id", "kind", "phase", "expression", "action_unit"),
    *("probability", "peak_probability", "began_s", "peaked_s"),
)


class EventSink(ClosesOnExit):
    """JSONL or CSV, by the file's ending, flushed with every frame that brings events.

    `frame` and `time_s` are those at which the event was known; `began_s` and `peaked_s` when it truly was.
    """

    def __init__(self, path: Path) -> None:
        """Open it; missing folders are made.

        Raises:
            ConfigError: another suffix, or the file cannot be written.
        """
        self._csv = path.suffix.lower() == ".csv"
        require(self._csv or path.suffix.lower() == ".jsonl", "a table of events", "end in .jsonl or .csv", str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise ConfigError(f"events {path} cannot be written: {error.strerror or error}") from error
        self._rows = csv.DictWriter(self._file, EVENT_COLUMNS)
        if self._csv:
            self._rows.writeheader()

    def write(self, frame: Frame, events: Iterable[Event]) -> None:
        """Add the events that a frame brought."""
        for event in events:
            if self._csv:
                self._rows.writerow(_record(frame, event))
            else:
                self._file.write(json.dumps(_record(frame, event), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _record(frame: Frame, event: Event) -> dict[str, Any]:
    return {
        "source": frame.source,
        "frame": frame.index,
        "time_s": round(float(frame.time_s), 4),
        "face_id": event.face_id,
        "kind": event.kind.name.lower(),
        "phase": event.phase.name.lower(),
        "expression": event.expression or None,
        "action_unit": event.action_unit or None,
        "probability": round(event.probability, 4),
        "peak_probability": round(event.peak_probability, 4),
        "began_s": round(event.began_ns * 1e-9, 4),
        "peaked_s": round(event.peaked_ns * 1e-9, 4),
    }
