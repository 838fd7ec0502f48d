"""Tables of events."""

from __future__ import annotations

import csv
import json

import pytest

from aue_crl_core.dynamics.readings import Event, EventKind, EventPhase
from aue_crl_core.errors import ConfigError
from aue_crl_core.media.writing.events import EVENT_COLUMNS, EventSink
from aue_crl_core.types import Frame

FEAR = Event("f1", EventKind.EXPRESSION, EventPhase.PEAKED, "fear", 0, 0.7, 0.91234, 1_200_000_000, 1_400_000_000)
SMILE = Event("f1", EventKind.ACTION_UNIT, EventPhase.BEGAN, "", 12, 0.6, 0.6, 1_200_000_000, 1_200_000_000)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_row_says_who_what_and_when(tmp_path, photograph, suffix):
    path = tmp_path / f"new/events{suffix}"
    with EventSink(path) as sink:
        sink.write(Frame(photograph, "film.mp4", index=40, time_s=1.6), [FEAR, SMILE])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file)) if suffix == ".csv" else [json.loads(line) for line in file]
    assert [list(row) for row in rows] == [list(EVENT_COLUMNS)] * 2
    assert [(row["kind"], row["phase"]) for row in rows] == [("expression", "peaked"), ("action_unit", "began")]
    assert (rows[0]["expression"], str(rows[1]["action_unit"])) == ("fear", "12")
    numbers = [float(rows[0][name]) for name in ("frame", "time_s", "peak_probability", "began_s", "peaked_s")]
    assert numbers == [40, 1.6, 0.9123, 1.2, 1.4]


def test_another_suffix_and_a_place_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"a table of events must end in \.jsonl or \.csv, got '.*\.parquet'"):
        EventSink(tmp_path / "events.parquet")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        EventSink(tmp_path / "file" / "events.csv")
