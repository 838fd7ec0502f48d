"""The index: one Parquet file that says, for every image of a dataset, what is on it and whether it can be used.

Schema (one row an image; missing values are null):

| column | type | meaning |
|---|---|---|
| image | string | path relative to the index's `root` |
| split | string | `train`, `valid`, `test`, or the layout's own name |
| label | int8 | position in the vocabulary |
| votes | list<float32> | one weight per class, summing to 1: crowd votes, or null for a single label |
| box | list<float32>[4] | x, y, w, h of the face in image pixels |
| box_source | string | `layout` (came with the dataset) or `found` |
| points | list<float32>[136] | 68 face points x0, y0, x1, y1, ... in image pixels, iBUG order |
| points_source | string | `layout`, `face_landmarker`, `mediapipe` or `landmark_net` |
| subject | string | the person, where the dataset tells |
| action_units | list<int8>[17] | in `facs.ACTION_UNITS`' order: 1 seen, 0 not, -1 not labelled; null: none labelled |
| blendshapes | list<float32>[52] | in `face_mesh.BLENDSHAPES`' order, in [0, 1]: what a face mesh shows; or null |
| mesh_distances | list<float32>[22] | in `face_mesh.DISTANCES`' order, in distances of the outer eye corners; or null |
| valence | float32 | unpleasant to pleasant, in [-1, 1], as a person judged it; or null |
| arousal | float32 | calm to excited, in [-1, 1], likewise |
| usable | bool | false: training leaves it out; evaluation counts it as an error where it has a label |
| reason | string | why it is not usable, or has no points |

An index without the columns `action_units`, `blendshapes`, `mesh_distances`, `valence` and `arousal` (as older versions
wrote) is read as one where they are null.

File metadata key `aue_crl`: JSON with `schema` (1), `layout`, `vocabulary`, `root` and `data_hash`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from aue_crl_core import facs
from aue_crl_core.data.face_mesh import BLENDSHAPES, DISTANCES
from aue_crl_core.errors import DatasetError, MissingDependencyError, brief, import_failure
from aue_crl_core.text import json_object
from aue_crl_core.types import FaceBox, Points
from aue_crl_core.whole_file import whole_file

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
AU_ABSENT, AU_PRESENT, AU_UNLABELLED = 0, 1, -1
_LATER_COLUMNS = ("action_units", "blendshapes", "mesh_distances", "valence", "arousal")
_KEY = b"aue_crl"


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the index; see the module for each field's meaning."""

    image: str
    split: str
    label: int | None = None
    votes: tuple[float, ...] | None = None
    box: FaceBox | None = None
    box_source: str | None = None
    points: Points | None = None
    points_source: str | None = None
    subject: str | None = None
    usable: bool = True
    reason: str | None = None
    action_units: tuple[int, ...] | None = None
    blendshapes: tuple[float, ...] | None = None
    mesh_distances: tuple[float, ...] | None = None
    valence: float | None = None
    arousal: float | None = None

    def __post_init__(self) -> None:
        for text in filter(None, (self.image, self.split)):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DatasetError(f"a file must have a name in UTF-8, got {text!r}; rename it") from error

    @property
    def learnable(self) -> bool:
        """Usable, and its expression is known: what training learns from and validates on."""
        return self.usable and self.label is not None


@dataclass(frozen=True)
class DatasetIndex:
    """A dataset as a list of records; `root` is the folder that `Record.image` is relative to, `file` the Parquet file
    that it was read from."""

    layout: str
    vocabulary: facs.VocabularyName
    root: Path
    records: tuple[Record, ...]
    file: Path | None = field(default=None, compare=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return facs.expressions(self.vocabulary)

    @cached_property
    def data_hash(self) -> str:
        """16 hex digits over names, splits, labels (AUs too) and usability: what a training run records as its data."""
        digest = hashlib.sha256()
        for r in self.records:
            units = "" if r.action_units is None else f"|{r.action_units}"
            votes = None if r.votes is None else tuple(float(np.float32(v)) for v in r.votes)  # as the file has them
            digest.update(f"{r.image}|{r.split}|{r.label}|{votes}|{r.usable}{units}\n".encode())
        return digest.hexdigest()[:16]

    def splits(self) -> Counter[str]:
        """Records per split."""
        return Counter(r.split for r in self.records)

    def select(self, split: str) -> DatasetIndex:
        """The records of one split.

        Raises:
            DatasetError: the index has no such split.
        """
        chosen = tuple(r for r in self.records if r.split == split)
        if not chosen:
            raise DatasetError(f"the index has no split {split!r}; it has {dict(self.splits())}")
        return dataclasses.replace(self, records=chosen)

    def path(self, record: Record) -> Path:
        """Where the record's image lies."""
        return self.root / record.image

    def write(self, path: Path) -> None:
        """Write the Parquet file (over an older one, atomically).

        Raises:
            MissingDependencyError: pyarrow is not installed.
            OutputError: it cannot be written.
        """
        pa, pq = _pyarrow()
        rows = [_row(record) for record in self.records]
        about = {
            "schema": SCHEMA_VERSION,
            "layout": self.layout,
            "vocabulary": self.vocabulary,
            "root": str(self.root),
            "data_hash": self.data_hash,
        }
        schema = _schema(pa).with_metadata({_KEY: json.dumps(about).encode()})
        with whole_file(path) as part:
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), part, compression="zstd")

    @classmethod
    def read(cls, path: Path, root: Path | None = None) -> DatasetIndex:
        """Read an index; `root` replaces the recorded image folder (a dataset that was moved).

        Raises:
            DatasetError: no such file, not Parquet, or not an index of this project.
        """
        pa, pq = _pyarrow()
        if not path.is_file():
            raise DatasetError(f"no index at {path}; make one with: aue-crl prepare LAYOUT ROOT --output {path}")
        try:
            table = pq.read_table(path)
            names = table.schema.names
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path} is not a whole Parquet file: {error}") from error
        about = _about(table.schema, path)
        schema = _schema(pa)
        for name in _LATER_COLUMNS:
            if name not in names:
                table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
        missing = [name for name in schema.names if name not in table.schema.names]
        if missing:
            raise DatasetError(
                f"{path} must have the columns {', '.join(schema.names)}; {', '.join(missing)} are missing"
            )
        try:
            rows = table.select(schema.names).cast(schema).to_pylist()
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise DatasetError(f"{path} has a column of another type than the schema's: {error}") from error
        records = tuple(_record(row, path, len(facs.expressions(about["vocabulary"]))) for row in rows)
        return cls(about["layout"], about["vocabulary"], root or Path(about["root"]), records, path)


def _about(schema: pa.Schema, path: Path) -> dict[str, Any]:
    """The file's own metadata, checked."""
    about = json_object(
        (schema.metadata or {}).get(_KEY, b"{}"), f"the '{_KEY.decode()}' metadata of {path}", DatasetError
    )
    if about.get("schema") != SCHEMA_VERSION:
        raise DatasetError(
            f"{path} must be an index of schema {SCHEMA_VERSION}, got {brief(about.get('schema'))}; "
            "make it again with: aue-crl prepare"
        )
    if about.get("vocabulary") not in get_args(facs.VocabularyName):
        raise DatasetError(
            f"{path} must have the vocabulary {' or '.join(get_args(facs.VocabularyName))}, "
            f"got {brief(about.get('vocabulary'))}"
        )
    missing = [key for key in ("layout", "root") if not isinstance(about.get(key), str)]
    if missing:
        raise DatasetError(f"{path} must name its {' and '.join(missing)} in the '{_KEY.decode()}' metadata")
    return about


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        reason = import_failure(error, "pyarrow")
        raise MissingDependencyError("pyarrow", "tables", "reading and writing an index", reason) from error
    return pyarrow, pyarrow.parquet


def _schema(pa: Any) -> pa.Schema:
    floats = pa.list_(pa.float32())
    return pa.schema(
        [
            ("image", pa.string()),
            ("split", pa.string()),
            ("label", pa.int8()),
            ("votes", floats),
            ("box", floats),
            ("box_source", pa.string()),
            ("points", floats),
            ("points_source", pa.string()),
            ("subject", pa.string()),
            ("usable", pa.bool_()),
            ("reason", pa.string()),
            ("action_units", pa.list_(pa.int8())),
            ("blendshapes", floats),
            ("mesh_distances", floats),
            ("valence", pa.float32()),
            ("arousal", pa.float32()),
        ]
    )


def _row(record: Record) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    row["box"] = None if record.box is None else record.box.as_list()
    row["points"] = None if record.points is None else record.points.ravel().tolist()
    return row


def _record(row: dict[str, Any], path: Path, classes: int) -> Record:
    label, box, points = row["label"], row["box"], row["points"]
    for column in ("image", "split", "usable"):
        if row[column] is None:
            raise DatasetError(f"{path}: {column} of {row['image'] or 'a nameless row'} must be given, got null")
    if label is not None and not 0 <= label < classes:
        raise DatasetError(f"{path}: label of {row['image']} must be in [0, {classes - 1}], got {label}")
    counts = {"votes": classes, "box": 4, "points": 2 * facs.NUM_POINTS}
    counts |= {"blendshapes": len(BLENDSHAPES), "mesh_distances": len(DISTANCES)}
    for column, count in counts.items():
        values = row[column]
        if values is None:
            continue
        if len(values) != count or not all(v is not None and math.isfinite(v) for v in values):
            raise DatasetError(f"{path}: {column} of {row['image']} must be {count} finite numbers, got {values}")
    for column in ("valence", "arousal"):
        if row[column] is not None and not -1 <= row[column] <= 1:
            raise DatasetError(f"{path}: {column} of {row['image']} must be in [-1, 1], got {row[column]}")
    units = row["action_units"]
    if units is not None and (
        len(units) != len(facs.ACTION_UNITS) or not set(units) <= {AU_ABSENT, AU_PRESENT, AU_UNLABELLED}
    ):
        raise DatasetError(
            f"{path}: action_units of {row['image']} must be {len(facs.ACTION_UNITS)} of 0, 1 and -1, got {units}"
        )
    row["action_units"] = None if units is None else tuple(units)
    for column in ("votes", "blendshapes", "mesh_distances"):
        row[column] = None if row[column] is None else tuple(row[column])
    row["box"] = None if box is None else FaceBox(*box)
    row["points"] = None if points is None else np.asarray(points, dtype=np.float32).reshape(facs.NUM_POINTS, 2)
    return Record(**row)
