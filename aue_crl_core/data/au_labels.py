"""Action unit labels as datasets write them, brought into the index's form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aue_crl_core.data.annotations import read_rows
from aue_crl_core.data.index import AU_ABSENT, AU_PRESENT, AU_UNLABELLED
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS

_OCCURRENCE: Final = {
    **{"0": AU_ABSENT, "1": AU_PRESENT},
    **dict.fromkeys(("", "-1", "9", "999", "nan", "none", "null"), AU_UNLABELLED),
}
_COLUMN: Final = re.compile(r"au[ _]?0*(\d{1,3})(?:_c)?", re.IGNORECASE)


def occurrence(value: object, where: str) -> int:
    """1 seen, 0 not seen, -1 not labelled, of a cell: 0, 1, or -1, 9, 999, empty, NaN for not labelled.

    Raises:
        DatasetError: another value (an intensity, perhaps).
    """
    text = str(value).strip().lower()
    code = _OCCURRENCE.get(text.removesuffix(".0"))
    if code is None:
        raise DatasetError(
            f"{where} must be an occurrence, 0 or 1 (-1, 9 or empty: not labelled), got {value!r}; "
            "turn intensities into occurrences first"
        )
    return code


def column_unit(name: str) -> int | None:
    """The FACS code of a table's column: `AU1`, `au01`, `AU_1`, `AU01_c`; None for another column."""
    found = _COLUMN.fullmatch(name.strip())
    return int(found[1]) if found else None


def as_row(codes: Mapping[int, int]) -> tuple[int, ...] | None:
    """FACS code -> occurrence as the index's 17 values; units that the network does not know are left out.

    None where none of the 17 is labelled.
    """
    row = tuple(codes.get(unit, AU_UNLABELLED) for unit in ACTION_UNITS)
    return None if set(row) == {AU_UNLABELLED} else row


def read_codes(path: Path) -> dict[str, dict[int, float]]:
    """Image -> FACS code -> how sure coders are that the AU is there, in [0, 1], from a CSV table.

    Columns: `image` (as in an index) and AUs (see `column_unit`), others are passed over; cells: 1 there, 0 not there,
    between them undecided or coders of different minds, empty for not looked at. An image may have several rows.

    Raises:
        DatasetError: no such table, no column `image` or of an AU, or a cell that is no share.
    """
    rows = read_rows(path)
    where, names = next(rows, (str(path), []))
    units = {i: unit for i, name in enumerate(names) if (unit := column_unit(name)) in ACTION_UNITS}
    if "image" not in names or not units:
        raise DatasetError(f"{where} must name a column image and columns AU1, AU2, ..., got {', '.join(names)!r}")
    found: dict[str, dict[int, float]] = {}
    for where, cells in rows:
        if len(cells) != len(names):
            raise DatasetError(f"{where} must have {len(names)} cells, got {len(cells)}")
        codes = found.setdefault(cells[names.index("image")], {})
        for i, unit in units.items():
            if cells[i].strip():
                codes[unit] = _share(cells[i], f"{where}, {names[i]},")
    return found


def _share(cell: str, where: str) -> float:
    try:
        share = float(cell)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise DatasetError(f"{where} must be 0, 1, a share between them or empty, got {cell!r}")
    return share
