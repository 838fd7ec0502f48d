"""A table of events: one row is one expression or action unit of a face that began, peaked or ended."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from aue_crl_core.config import require
from aue_crl_core.dynamics.readings import Event
from aue_crl_core.errors import ConfigError
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.media.writing.growing import GrowingFile
from aue_crl_core.types import Frame

EVENT_COLUMNS: Final = (
    *("source", "frame", "time_s", "face_id", "kind", "phase", "expression", "action_unit"),
    *("probability", "peak_probability", "began_s", "peaked_s"),
)


class EventSink(ClosesOnExit):
    """JSONL or CSV, by the file's ending, a frame at once, so that no full disk cuts a row.

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
            self._file = GrowingFile(path)
        except OSError as error:
            raise ConfigError(f"events {path} cannot be written: {error.strerror or error}") from error
        if self._csv:
            self._add([dict(zip(EVENT_COLUMNS, EVENT_COLUMNS, strict=True))])

    def write(self, frame: Frame, events: Iterable[Event]) -> None:
        """Add the events that a frame brought.

        Raises:
            OutputError: the disk is full, the file is gone; what is in it is whole.
        """
        self._add([_record(frame, event) for event in events])

    def close(self) -> None:
        self._file.close()

    def _add(self, rows: list[dict[str, Any]]) -> None:
        text = io.StringIO(newline="")
        if self._csv:
            csv.DictWriter(text, EVENT_COLUMNS).writerows(rows)
        else:
            text.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._file.write(text.getvalue().encode())
        self._file.end_piece()


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
