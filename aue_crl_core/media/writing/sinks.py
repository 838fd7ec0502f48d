"""Tables of predictions: JSONL, CSV and Parquet, written while the frames come in. One row is one face in one frame.

Which frames were read, with a face or without, is said beside the rows (`FrameLog`): in Parquet's own metadata
(written by pyarrow 16 and up), else in a side file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError, OutputError
from aue_crl_core.media.writing.closing import ClosesOnExit
from aue_crl_core.media.writing.frame_log import METADATA_KEY, FrameLog
from aue_crl_core.media.writing.growing import GrowingFile
from aue_crl_core.media.writing.layout import TableLayout
from aue_crl_core.types import FacePrediction, Frame

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from typing_extensions import Self

TABLE_SUFFIXES: Final = (".jsonl", ".csv", ".parquet")
"""File name endings, lower case, of the tables that can be written."""

_PARQUET_ROWS: Final = 1024
_COMPRESSION: Final = "zstd"


class Sink(Protocol):
    """Takes each frame's predictions; a context manager, whose exit completes the file also after an error."""

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        """Add one row a face; a frame without faces adds none, or one without a face where every frame has a row.

        Raises:
            OutputError: the disk is full, the file is gone; what is in it is whole.
        """

    def close(self) -> None:
        """Complete the file; further calls do nothing. Raises as `write`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(
    path: str | Path,
    *,
    expressions: Sequence[str] = facs.BASIC_EXPRESSIONS,
    every_frame: bool = False,
    sides: bool = False,
    points: bool = True,
    intensities: Sequence[int] = (),
) -> Sink:
    """Open a table for writing, by suffix `.jsonl`, `.csv` or `.parquet`; folders are made, an old file is replaced.

    `path` the file; the others see `TableLayout`.

    Raises:
        ConfigError: another suffix, or the file cannot be written.
        MissingDependencyError: `.parquet` without pyarrow.
    """
    path = Path(path)
    kinds = dict(zip(TABLE_SUFFIXES, (JsonlSink, CsvSink, ParquetSink), strict=True))
    if path.suffix.lower() not in kinds:
        raise ConfigError(f"an output table must end in .jsonl, .csv or .parquet, got {str(path)!r}")
    try:
        return kinds[path.suffix.lower()](path, TableLayout(expressions, every_frame, sides, points, intensities))
    except OutputError as error:
        raise ConfigError(f"output {error}") from error
    except OSError as error:
        raise ConfigError(f"output {path} cannot be written: {error.strerror or error}") from error


class JsonlSink(ClosesOnExit):
    """One JSON object a line (`FacePrediction.as_record`); a frame at once, so that no full disk cuts a line.

    Without `side_file` (a pipe) the frames read are not said.
    """

    def __init__(self, path: Path, layout: TableLayout, side_file: bool = True) -> None:
        self._file = GrowingFile(path)
        self._layout = layout
        self._side_file = side_file
        self._log = FrameLog()

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        records = self._layout.records(frame, predictions)
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        self._file.write("".join(lines).encode())
        self._file.end_piece()
        self._log.add(frame, len(predictions))

    def close(self) -> None:
        with closing(self._file):
            if not self._file.closed and self._side_file:
                self._log.write_beside(self._file.path)


class CsvSink(ClosesOnExit):
    """Flat columns (`TableLayout.csv_columns`), the header also without any face; each frame as a whole."""

    def __init__(self, path: Path, layout: TableLayout) -> None:
        self._layout = layout
        self._log = FrameLog()
        self._file = GrowingFile(path)
        self._columns = layout.csv_columns()
        self._add([dict(zip(self._columns, self._columns, strict=True))])

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        records = self._layout.records(frame, predictions)
        self._add([self._layout.flat_row(record) for record in records])
        self._log.add(frame, len(predictions))

    def close(self) -> None:
        with closing(self._file):
            if not self._file.closed:
                self._log.write_beside(self._file.path)

    def _add(self, rows: list[dict[str, Any]]) -> None:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, extrasaction="ignore").writerows(rows)
        self._file.write(text.getvalue().encode())
        self._file.end_piece()


class ParquetSink(ClosesOnExit):
    """Columns of `TableLayout.arrow_schema`, in row groups of about 1024 faces, so that a film never fills memory.

    Written beside the target as `<name>.part` and renamed when complete: the target is always a whole file. Before a
    group is written, room is taken for it and for the footer, so that a full disk ends the file and does not spoil it.
    """

    def __init__(self, path: Path, layout: TableLayout) -> None:
        self._schema = layout.arrow_schema()
        import pyarrow.parquet as pq

        self._layout = layout
        self._log = FrameLog()
        self._path = path
        self._file = GrowingFile(path.with_name(path.name + ".part"), name=path)
        self._footers = 0
        self._reserve(self._schema.empty_table())
        self._waiting: list[list[dict[str, object]]] = []
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(self._file, self._schema, compression=_COMPRESSION)

    def write(self, frame: Frame, predictions: Sequence[FacePrediction]) -> None:
        self._log.add(frame, len(predictions))
        if records := self._layout.records(frame, predictions):
            self._waiting.append(records)
        if sum(map(len, self._waiting)) >= _PARQUET_ROWS:
            self._store_waiting()
        self._file.end_piece()

    def close(self) -> None:
        if self._writer is None:
            return
        with closing(self._file):
            try:
                self._store_waiting()
                self._store_log(self._writer)
            finally:
                writer, self._writer = self._writer, None
                writer.close()
                self._file.finish_as(self._path)

    def _store_log(self, writer: pq.ParquetWriter) -> None:
        if not hasattr(writer, "add_key_value_metadata"):  # before pyarrow 16
            self._log.write_beside(self._path)
            return
        text = self._log.to_json()
        self._file.reserve(self._footers + 2 * len(text.encode()))
        writer.add_key_value_metadata({METADATA_KEY: text})

    def _store_waiting(self) -> None:
        frames, self._waiting = self._waiting, []
        if frames:
            self._store(frames)

    def _store(self, frames: Sequence[Sequence[dict[str, object]]]) -> None:
        """Write frames as a row group; as several, where there is not room for all of them."""
        import pyarrow as pa

        table = pa.Table.from_pylist([record for frame in frames for record in frame], schema=self._schema)
        try:
            self._reserve(table)
        except OutputError:
            if len(frames) == 1:
                raise
            half = len(frames) // 2
            self._store(frames[:half])
            self._store(frames[half:])
            return
        self._writer.write_table(table)

    def _reserve(self, table: pa.Table) -> None:
        """Take room for a row group and for the footer after it, no longer than those of all groups as single files."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        alone = pa.BufferOutputStream()
        pq.write_table(table, alone, compression=_COMPRESSION)
        data = alone.getvalue()
        footers = self._footers + 2 * int.from_bytes(data[-8:-4].to_pybytes(), "little")  # twice: offsets are longer
        self._file.reserve(data.size + footers)
        self._footers = footers
