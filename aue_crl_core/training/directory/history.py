"""The history of a run: a row for every epoch of every stage, as `metrics.csv` and the same as `metrics.parquet`.

| column | is |
|---|---|
| stage, epoch | which epoch, counted from 1 within its stage |
| lr | the learning rate of its last step |
| since_best | epochs since the best validation score of the stage: 0 where this epoch is the best so far |
| seconds, data_wait | how long it took, validation included; the share of training that waited for data, in [0, 1] |
| train/TERM, valid/TERM | each weighted loss term, mean over the images; their sum is what is minimised |
| valid/accuracy, valid/mean_class_accuracy, valid/score | in [0, 1]; the score chooses the epoch |
| valid/recall/CLASS | recall of a class that has images in the validation split, in [0, 1] |

The CSV file is what counts: it is written first, whole and in one step, and the Parquet file is made of all its rows
each time. A process that is killed between the two, or before the state of the epoch is on disk, trains that epoch
again on `--resume`, and its row takes the place of the older one.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_core.whole_file import whole_file

HISTORY_FILE: Final = "metrics.csv"
_TEXT: Final = ("stage",)
_WHOLE: Final = ("epoch", "since_best")


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the history in place of the same stage's rows from that epoch on; new columns widen the files."""
    rows = [r for r in read_history(path) if r["stage"] != row["stage"] or int(r["epoch"]) < row["epoch"]]
    rows.append({k: str(v) for k, v in row.items()})
    columns = list(dict.fromkeys(k for r in rows for k in r))
    with whole_file(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    _write_parquet(path.with_suffix(".parquet"), rows, columns)


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv` without their empty cells; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def _write_parquet(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str]) -> None:
    """The same rows with types: text, int32 and float64; a cell that a row lacks is null."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "train", "training", import_failure(error, "pyarrow")) from error
    arrays = {}
    for name in columns:
        convert, kind = (
            (str, pa.string()) if name in _TEXT else (int, pa.int32()) if name in _WHOLE else (float, pa.float64())
        )
        arrays[name] = pa.array([convert(row[name]) if name in row else None for row in rows], kind)
    with whole_file(path) as part:
        pq.write_table(pa.table(arrays), part)
