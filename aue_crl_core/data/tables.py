"""Your own data as a table, CSV or Parquet: one row a face.

| column | is |
|---|---|
| `image` or `path` | the file, relative to the table's folder (or absolute) |
| `label` or `expression` | a class by name (see `names.EXPRESSIONS`) or by number in the vocabulary; empty: none |
| `split` | by name (see `names.SPLITS`), or your own; `train` where the column or the cell is empty |
| `subject` or `person` | who it is: a person is held out as a whole |
| `box`, or `x` `y` `w` `h` | the face in pixels |
| `points` | 68 face points x0 y0 x1 y1 ... in pixels, iBUG order |
| `votes` | one weight a class |
| `AU1`, `AU01`, `AU_1`, `AU01_c`, ... | 1 seen, 0 not seen; -1, 9 or empty: not labelled |

Only the image is needed. Lists are lists in Parquet, and numbers with blanks, commas or semicolons between in CSV.
Columns of other names (`passed_over`), and AUs that the network does not know, are passed over.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from aue_crl_core import facs
from aue_crl_core.data.au_labels import as_row, column_unit, occurrence
from aue_crl_core.data.index import Record
from aue_crl_core.data.names import expression_of, split_of
from aue_crl_core.errors import DatasetError, MissingDependencyError, import_failure
from aue_crl_core.text import read_text
from aue_crl_core.types import FaceBox

_Row = Mapping[str, Any]
_SYNONYMS: Final = {"path": "image", "person": "subject", "expression": "label"}
_COLUMNS: Final = frozenset(("image", "label", "split", "subject", "box", *"xywh", "points", "votes"))
_BETWEEN: Final = re.compile(r"[\s,;]+")
_WHOLE: Final = re.compile(r"-?\d+(\.0)?")


def read_csv(table: Path, vocabulary: facs.VocabularyName = "basic") -> Iterator[Record]:
    """Records of a CSV file with a heading (comma, semicolon or tab between the cells).

    Raises:
        DatasetError: no such file, not text, no column for the image, a cell that does not fit (named with its line),
            or a face listed twice.
    """
    _check_file(table, ".csv")
    return _records(table, _csv_rows(table, _reader(table)), vocabulary)


def read_parquet(table: Path, vocabulary: facs.VocabularyName = "basic") -> Iterator[Record]:
    """Records of a Parquet file; otherwise as `read_csv`.

    Raises:
        DatasetError: as `read_csv`, or the file is an index of this project already.
        MissingDependencyError: pyarrow is not installed.
    """
    _check_file(table, ".parquet")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        reason = import_failure(error, "pyarrow")
        raise MissingDependencyError("pyarrow", "tables", "reading a Parquet table", reason) from error
    try:
        content = pq.read_table(table)
        columns, values = content.schema.names, content.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # ValueError: text that is not UTF-8
        raise DatasetError(f"{table} is not a whole Parquet file: {error}") from error
    if b"aue_crl" in (content.schema.metadata or {}):
        raise DatasetError(f"{table} is an index already: give it to train and evaluate with --data")
    names = _names(table, columns)
    rows = (
        (f"{table}, row {number}", dict(zip(names, row.values(), strict=True)))
        for number, row in enumerate(values, start=1)
    )
    return _records(table, rows, vocabulary)


def passed_over(table: Path) -> tuple[str, ...]:
    """The columns of a table that is read without error which nothing is read from, as `_names` has them."""
    if table.suffix == ".parquet":
        import pyarrow.parquet as pq

        heading = pq.read_schema(table).names
    else:
        heading = next(_reader(table))
    names = _names(table, heading)
    return tuple(name for name in names if name and name not in _COLUMNS and column_unit(name) is None)


def _reader(table: Path) -> Any:
    text = read_text(table, DatasetError)
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _check_file(table: Path, suffix: str) -> None:
    if not table.is_file():
        what = "a folder" if table.is_dir() else "no such file"
        raise DatasetError(f"ROOT must be the table itself, a {suffix} file, got {table} ({what})")


def _names(table: Path, heading: Iterable[str]) -> list[str]:
    names = [_SYNONYMS.get(name.strip().lower(), name.strip().lower()) for name in heading]
    if names.count("image") != 1:
        pixels = "; a table of pixels is read by: aue-crl prepare fer2013" if "pixels" in names else ""
        raise DatasetError(
            f"{table} must have one column 'image' (or 'path'), got the columns {', '.join(names)}{pixels}"
        )
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(f"{table} must have every column once, got {twice!r} {names.count(twice)} times")
    return names


def _csv_rows(table: Path, reader: Any) -> Iterator[tuple[str, _Row]]:
    try:
        names = _names(table, next(reader, []))
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{table}:{reader.line_num}"
            if len(cells) != len(names):
                raise DatasetError(f"{where} must have {len(names)} cells as the heading has, got {len(cells)}")
            yield where, dict(zip(names, (cell.strip() or None for cell in cells), strict=True))
    except csv.Error as error:
        raise DatasetError(f"{table}:{reader.line_num} must be a line of CSV: {error}") from error


def _records(table: Path, rows: Iterator[tuple[str, _Row]], vocabulary: facs.VocabularyName) -> Iterator[Record]:
    classes = facs.expressions(vocabulary)
    seen: set[tuple[str, FaceBox | None]] = set()
    for where, row in rows:
        record = _record(row, where, classes)
        if (record.image, record.box) in seen:
            raise DatasetError(f"{where}: this face of {record.image} is listed twice; give each face its own box")
        seen.add((record.image, record.box))
        yield record


def _record(row: _Row, where: str, classes: tuple[str, ...]) -> Record:
    image = row["image"]
    if not isinstance(image, str) or not image:
        raise DatasetError(f"{where}: image must name a file, got {image!r}")
    box, points = _box(row, where), _numbers(row.get("points"), 2 * facs.NUM_POINTS, f"{where}: points")
    votes = _numbers(row.get("votes"), len(classes), f"{where}: votes")
    label, reason = _label(row.get("label"), where, classes)
    codes = {
        unit: occurrence("" if cell is None else cell, f"{where}, column {name}")
        for name, cell in row.items()
        if (unit := column_unit(name)) is not None
    }
    units = as_row(codes)
    split = "train" if row.get("split") is None else str(row["split"])
    subject = row.get("subject")
    return Record(
        image,
        split_of(split) or split,
        label=label,
        votes=None if votes is None else _shares(votes, label, where),
        box=box or (FaceBox.around(np.reshape(points, (-1, 2))) if points else None),
        box_source="layout" if box or points else None,
        points=None if points is None else np.array(points, dtype=np.float32).reshape(facs.NUM_POINTS, 2),
        points_source=None if points is None else "layout",
        subject=None if subject is None else str(subject),
        usable=reason is None or units is not None,
        reason=reason,
        action_units=units,
    )


def _label(cell: object, where: str, classes: tuple[str, ...]) -> tuple[int | None, str | None]:
    """The label, and why there is none where the cell names no class of the vocabulary."""
    if cell is None or cell != cell:  # an empty cell, or pandas' NaN for one
        return None, None
    text = str(cell).strip().lower().replace("_", " ")
    if _WHOLE.fullmatch(text):
        label = int(float(text)) if len(text) < 12 else -1
        if not 0 <= label < len(classes):
            raise DatasetError(
                f"{where}: a label must be in [0, {len(classes) - 1}] ({', '.join(classes)}) or one of these names, "
                f"got {text[:40]}"
            )
        return label, None
    name = text if text in classes else expression_of(text)
    if name in classes:
        return classes.index(name), None
    return None, f"label {str(cell)!r} is no expression of the vocabulary"


def _box(row: _Row, where: str) -> FaceBox | None:
    values = _numbers(row.get("box"), 4, f"{where}: box")
    if values is None:
        cells = [row.get(side) for side in "xywh"]
        values = None if cells == [None] * 4 else _numbers(cells, 4, f"{where}: x, y, w, h")
    if values is None:
        return None
    if values[2] <= 0 or values[3] <= 0:
        raise DatasetError(f"{where}: a box must be x y w h with w and h above 0, got {values}")
    return FaceBox(*values)


def _numbers(cell: object, count: int, where: str) -> list[float] | None:
    if cell is None:
        return None
    words = _BETWEEN.split(cell.strip(" []()")) if isinstance(cell, str) else cell
    try:
        values = [float(word) for word in words]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise DatasetError(f"{where} must be {count} finite numbers, got {str(cell)[:60]!r}")
    return values


def _shares(votes: list[float], label: int | None, where: str) -> tuple[float, ...]:
    if min(votes) < 0 or sum(votes) <= 0 or label is None:
        raise DatasetError(f"{where}: votes must be at least 0, not all 0, and beside a label, got {votes}")
    return tuple(vote / sum(votes) for vote in votes)
