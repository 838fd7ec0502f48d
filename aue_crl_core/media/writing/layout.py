"""What the rows of a table hold: one row is one face in one frame, whatever the format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aue_crl_core import facs
from aue_crl_core.errors import MissingDependencyError, import_failure
from aue_crl_core.types import FacePrediction, Frame

if TYPE_CHECKING:
    import pyarrow as pa

_NESTED: Final = frozenset({"box", "probabilities", "action_units", "landmarks", "sides", "intensities"})


@dataclass(frozen=True)
class TableLayout:
    """The columns of a table.

    `expressions` the model's class names in label order; with `every_frame` a frame without a face has a row too, and
    all rows a column `success`: whether there is a face; with `sides` CSV and Parquet have columns for one-sided action
    units, and with `intensities` (FACS codes) for those action units' intensity (JSONL has both wherever a prediction
    does); without `points` no row has landmarks.
    """

    expressions: Sequence[str] = facs.BASIC_EXPRESSIONS
    every_frame: bool = False
    sides: bool = False
    points: bool = True
    intensities: Sequence[int] = ()

    def records(self, frame: Frame, predictions: Sequence[FacePrediction]) -> list[dict[str, Any]]:
        """The rows of a frame, as JSONL has them (`FacePrediction.as_record`)."""
        records: list[dict[str, Any]] = [face.as_record(frame) for face in predictions]
        if not self.points:
            for record in records:
                del record["landmarks"]
        if not self.every_frame:
            return records
        where = {"source": frame.source, "frame": frame.index, "time_s": round(float(frame.time_s), 4)}
        return [record | {"success": True} for record in records] or [where | {"success": False}]

    def csv_columns(self) -> list[str]:
        """The CSV header: plain values only, so that any spreadsheet reads it.

        `source, frame, time_s, face_id, box_x, box_y, box_w, box_h` (px), `expression, confidence, state`,
        `p_<expression>` (blanks as `_`), `au_<FACS code>`, the 68 points as `x_0 ... x_67, y_0 ... y_67` (px; the order
        of OpenFace), `success`, 1 or 0, `au_<FACS code>_left`, `au_<FACS code>_right`, and `intensity_<FACS code>`.
        """
        return [
            *("source", "frame", "time_s", "face_id"),
            *("box_x", "box_y", "box_w", "box_h"),
            *("expression", "confidence", "state"),
            *(f"p_{name.replace(' ', '_')}" for name in self.expressions),
            *(f"au_{unit}" for unit in facs.ACTION_UNITS),
            *(f"{axis}_{point}" for axis in "xy" for point in range(facs.NUM_POINTS) if self.points),
            *(["success"] if self.every_frame else []),
            *([f"au_{unit}_{side}" for unit in facs.SIDED_UNITS for side in facs.SIDES] if self.sides else []),
            *(f"intensity_{unit}" for unit in self.intensities),
        ]

    def flat_row(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record with the columns of `csv_columns` (and those of what else it holds)."""
        flat = {name: value for name, value in record.items() if name not in _NESTED}
        if "success" in record:
            flat["success"] = int(record["success"])
        if "face_id" not in record:
            return flat
        flat |= {f"box_{side}": value for side, value in zip("xywh", record["box"], strict=True)}
        flat |= {f"p_{name.replace(' ', '_')}": record["probabilities"].get(name) for name in self.expressions}
        flat |= {f"au_{unit}": record["action_units"].get(str(unit)) for unit in facs.ACTION_UNITS}
        for side, units in record.get("sides", {}).items():
            flat |= {f"au_{unit}_{side}": value for unit, value in units.items()}
        flat |= {f"intensity_{unit}": value for unit, value in record.get("intensities", {}).items()}
        for index, (x, y) in enumerate(record.get("landmarks", ())):
            flat |= {f"x_{index}": x, f"y_{index}": y}
        return flat

    def arrow_schema(self) -> pa.Schema:
        """The JSONL record as typed, nested columns.

        Raises:
            MissingDependencyError: pyarrow is not there.
        """
        require_pyarrow("writing Parquet")
        import pyarrow as pa

        number = pa.float32()
        of_units = [(str(unit), number) for unit in self.intensities]
        one_side = pa.struct([(str(unit), number) for unit in facs.SIDED_UNITS])
        return pa.schema(
            [
                ("source", pa.string()),
                ("frame", pa.int64()),
                ("time_s", pa.float64()),
                ("face_id", pa.string()),
                ("box", pa.list_(number)),
                ("expression", pa.string()),
                ("confidence", number),
                ("probabilities", pa.struct([(name, number) for name in self.expressions])),
                ("action_units", pa.struct([(str(unit), number) for unit in facs.ACTION_UNITS])),
                *([("landmarks", pa.list_(pa.list_(number)))] if self.points else []),
                ("state", pa.string()),
                *([("success", pa.bool_())] if self.every_frame else []),
                *([("sides", pa.struct([(side, one_side) for side in facs.SIDES]))] if self.sides else []),
                *([("intensities", pa.struct(of_units))] if self.intensities else []),
            ]
        )


def require_pyarrow(purpose: str) -> None:
    """Raise `MissingDependencyError` where `purpose` ("writing Parquet") lacks pyarrow."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "tables", purpose, import_failure(error, "pyarrow")) from error
