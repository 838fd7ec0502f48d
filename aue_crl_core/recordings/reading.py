"""Tables of results, as `aue-crl run` writes them, read again: JSONL, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aue_crl_core.errors import DatasetError, MissingDependencyError, import_failure
from aue_crl_core.media.writing.frame_log import METADATA_KEY, frame_log_path
from aue_crl_core.recordings.recording import Recording, RecordingBuilder
from aue_crl_core.text import json_object, read_text

TABLES: Final = (".jsonl", ".csv", ".parquet")


def read_recording(path: Path) -> Recording:
    """The rows of a table, and which frames were read, where a log beside them (or in them) says so.

    Raises:
        DatasetError: no such table, or one that `aue-crl run` did not write; the message names the line.
        MissingDependencyError: `.parquet` without pyarrow.
    """
    if path.suffix.lower() not in TABLES or not path.is_file():
        what = "another ending" if path.is_file() else "a folder" if path.is_dir() else "no such file"
        raise DatasetError(f"a table of results must be a .jsonl, .csv or .parquet file, got {path} ({what})")
    builder = RecordingBuilder(str(path))
    log = None
    if path.suffix.lower() == ".parquet":
        rows, log = _parquet(path)
    else:
        text = read_text(path, DatasetError)
        rows = _csv(path, text) if path.suffix.lower() == ".csv" else _jsonl(path, text)
    for where, record in rows:
        builder.add(record, where)
    side = frame_log_path(path)
    if log is None and side.is_file():
        log = read_text(side, DatasetError)
    if log is not None:
        _add_log(builder, log, str(side) if side.is_file() else f"{path}, metadata {METADATA_KEY}")
    return builder.build()


def _jsonl(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, json_object(line, where, DatasetError)


def _csv(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise DatasetError(f"{where} must have as many cells as the heading has")
            yield where, _nested(row)
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num} must be a line of CSV: {error}") from error


def _nested(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of `TableLayout.csv_columns` as the JSONL record that it was."""
    return {
        **row,
        "box": [row.get(f"box_{side}", "") for side in "xywh"],
        "probabilities": {name[2:].replace("_", " "): p for name, p in row.items() if name.startswith("p_")},
        "action_units": {name[3:]: p or math.nan for name, p in row.items() if name.startswith("au_")},
        "intensities": {name[10:]: i or math.nan for name, i in row.items() if name.startswith("intensity_")},
        **({"landmarks": None} if "x_0" in row else {}),
    }


def _parquet(path: Path) -> tuple[Iterator[tuple[str, dict[str, Any]]], str | None]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        reason = import_failure(error, "pyarrow")
        raise MissingDependencyError("pyarrow", "tables", "reading Parquet", reason) from error
    wanted = ["source", "frame", "time_s", "face_id", "box", "expression", "confidence", "probabilities"]
    try:
        file = pq.ParquetFile(path)
        metadata = file.metadata.metadata or {}
        told = [name for name in ("intensities",) if name in file.schema_arrow.names]
        table = file.read(columns=[*wanted, "action_units", "state", *told])
        if "landmarks" in file.schema_arrow.names:
            table = table.append_column("landmarks", pa.nulls(table.num_rows))
        rows = table.to_pylist()
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        raise DatasetError(f"{path} is not a whole Parquet file: {error}") from error
    log = metadata.get(METADATA_KEY.encode())
    named = ((f"{path}, row {number}", row) for number, row in enumerate(rows, start=1))
    return named, None if log is None else log.decode("utf-8", "replace")


def _add_log(builder: RecordingBuilder, text: str, where: str) -> None:
    try:
        for seen in json.loads(text):
            if seen["frame"]:
                builder.add_frames(str(seen["source"]), seen["frame"], seen["time_s"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise DatasetError(f"{where} must be the log of frames that aue-crl run wrote, got: {error}") from error
