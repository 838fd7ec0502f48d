"""Tables of predictions: JSONL, CSV and Parquet, written while the frames come in. One row is one face in one frame."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError, MissingDependencyError, import_failure
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.types import FacePrediction, Frame

if TYPE_CHECKING:
    from typing_extensions import Self

_PARQUET_ROWS: Final = 1024


class Sink(Protocol):
    """Takes each frame's predictions; a context manager, whose exit completes the file also after an error."""

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        """Add one row a face; a frame without faces adds none."""

    def close(self) -> None:
        """Complete the file; further calls do nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(path: str | Path, *, expressions: Sequence[str] = facs.BASIC_EXPRESSIONS) -> Sink:
    """Open a table for writing, by suffix `.jsonl`, `.csv` or `.parquet`; folders are made, an old file is replaced.

    Args:
        path: the file.
        expressions: the model's class names in label order; CSV and Parquet have a column or field for each.

    Raises:
        ConfigError: another suffix, or the file cannot be written.
        MissingDependencyError: `.parquet` without pyarrow.
    """
    path = Path(path)
    kinds = {".jsonl": JsonlSink, ".csv": CsvSink, ".parquet": ParquetSink}
    if path.suffix.lower() not in kinds:
        raise ConfigError(f"an output table must end in .jsonl, .csv or .parquet, got {str(path)!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return kinds[path.suffix.lower()](path, expressions)
    except OSError as error:
        raise ConfigError(f"output {path} cannot be written: {error.strerror or error}") from error


class JsonlSink(ClosesOnExit):
    """One JSON object a line (`FacePrediction.as_record`), flushed with every frame, so that a crash loses none."""

    def __init__(self, path: Path, expressions: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        self._file.writelines(json.dumps(face.as_record(frame), ensure_ascii=False) + "\n" for face in predictions)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def csv_columns(expressions: Sequence[str]) -> list[str]:
    """The CSV header: plain values only, so that any spreadsheet reads it.

    `source, frame, time_s, face_id, box_x, box_y, box_w, box_h` (px), `expression, confidence, state`, `p_<expression>`
    (blanks as `_`), `au_<FACS code>`, and the 68 points as `x_0 ... x_67, y_0 ... y_67` (px; the order of OpenFace).
    """
    return [
        *("source", "frame", "time_s", "face_id"),
        *("box_x", "box_y", "box_w", "box_h"),
        *("expression", "confidence", "state"),
        *(f"p_{name.replace(' ', '_')}" for name in expressions),
        *(f"au_{unit}" for unit in facs.ACTION_UNITS),
        *(f"{axis}_{point}" for axis in "xy" for point in range(facs.NUM_POINTS)),
    ]


class CsvSink(ClosesOnExit):
    """Flat columns (`csv_columns`), the header also without any face; flushed with every frame."""

    def __init__(self, path: Path, expressions: Sequence[str]) -> None:
        self._expressions = tuple(expressions)
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(csv_columns(expressions))
        self._file.flush()

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        for face in predictions:
            record: dict[str, Any] = face.as_record(frame)
            self._rows.writerow(
                [
                    *(record[name] for name in ("source", "frame", "time_s", "face_id")),
                    *record["box"],
                    *(record[name] for name in ("expression", "confidence", "state")),
                    *(record["probabilities"].get(name) for name in self._expressions),
                    *(record["action_units"].get(str(unit)) for unit in facs.ACTION_UNITS),
                    *(point[axis] for axis in (0, 1) for point in record["landmarks"]),
                ]
            )
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class ParquetSink(ClosesOnExit):
    """The JSONL record as typed, nested columns, in row groups of about 1024 faces, so that a film never fills memory.

    Written beside the target as `<name>.part` and renamed when complete: the target is always a whole file.
    """

    def __init__(self, path: Path, expressions: Sequence[str]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            reason = import_failure(error, "pyarrow")
            raise MissingDependencyError("pyarrow", "tables", "writing Parquet", reason) from error
        number = pa.float32()
        self._schema = pa.schema(
            [
                ("source", pa.string()),
                ("frame", pa.int64()),
                ("time_s", pa.float64()),
                ("face_id", pa.string()),
                ("box", pa.list_(number)),
                ("expression", pa.string()),
                ("confidence", number),
                ("probabilities", pa.struct([(name, number) for name in expressions])),
                ("action_units", pa.struct([(str(unit), number) for unit in facs.ACTION_UNITS])),
                ("landmarks", pa.list_(pa.list_(number))),
                ("state", pa.string()),
            ]
        )
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._records: list[dict[str, object]] = []
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(str(self._part), self._schema, compression="zstd")

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        self._records.extend(face.as_record(frame) for face in predictions)
        if len(self._records) >= _PARQUET_ROWS:
            self._write_rows()

    def close(self) -> None:
        if self._writer is None:
            return
        self._write_rows()
        self._writer.close()
        self._writer = None
        os.replace(self._part, self._path)

    def _write_rows(self) -> None:
        import pyarrow as pa

        if self._records:
            self._writer.write_table(pa.Table.from_pylist(self._records, schema=self._schema))
            self._records.clear()
