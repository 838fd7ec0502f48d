"""What a run says of every test face, as a small Parquet file: the report needs nothing else of the run.

| column | type | meaning |
|---|---|---|
| data | string | layout of the index that the face is from |
| image | string | path relative to that index's root |
| label | int8 | position in the vocabulary |
| one for every class | float32 | its probability |

File metadata key `aue_crl`: JSON of the fields of `About`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.config import from_dict
from aue_crl_core.errors import ConfigError, DatasetError, MissingDependencyError, import_failure
from aue_crl_core.text import json_object

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise MissingDependencyError("pyarrow", "tables", "comparing methods", import_failure(error, "pyarrow")) from error

_KEY = b"aue_crl"
_COLUMNS = ("data", "image", "label")


@dataclass(frozen=True)
class About:
    """Which run the predictions are of.

    start: what its trunk began with.
    epochs: stage -> how many it trained; kept: stage -> which of them was chosen on the validation split.
    valid: that epoch's figures, of the last stage. seconds: of training and validation.
    parameters, multiply_adds: of a look at one face, without the landmark net.
    """

    method: str
    seed: int
    start: str
    epochs: dict[str, int]
    kept: dict[str, int]
    valid: dict[str, float]
    seconds: float
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Predictions:
    """N faces: `data` and `images` name them, `labels` int64 N, `probabilities` float32 NxC, a column for each of
    `classes`."""

    about: About
    classes: tuple[str, ...]
    data: tuple[str, ...]
    images: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each face's likeliest class is its label."""
        return self.probabilities.argmax(axis=1) == self.labels

    def write(self, path: Path) -> None:
        """Write the file in one step."""
        columns = {
            "data": pa.array(self.data).dictionary_encode(),
            "image": pa.array(self.images),
            "label": pa.array(self.labels, pa.int8()),
            **{name: pa.array(self.probabilities[:, i]) for i, name in enumerate(self.classes)},
        }
        about = json.dumps(dataclasses.asdict(self.about)).encode()
        table = pa.table(columns).replace_schema_metadata({_KEY: about})
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        pq.write_table(table, part, compression="zstd")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read a file that `write` wrote.

        Raises:
            DatasetError: it is not Parquet, or no such file of this project.
        """
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{path} must be a Parquet file, got: {error}; remove it to have it made again"
            ) from error
        values = json_object((table.schema.metadata or {}).get(_KEY, b"{}"), f"the metadata of {path}", DatasetError)
        classes = tuple(name for name in table.column_names if name not in _COLUMNS)
        try:
            about = from_dict(About, values, str(path))
            data, images, labels = (table[name].to_pylist() for name in _COLUMNS)
            rows = np.stack([table[name].to_numpy() for name in classes], axis=1).astype(np.float32)
        except (ConfigError, KeyError, ValueError) as error:
            raise DatasetError(f"{path} must hold the predictions of a comparison's run, got: {error}") from error
        return cls(about, classes, tuple(data), tuple(images), np.array(labels, dtype=np.int64), rows)
