"""Action unit labels as datasets write them, brought into the index's form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

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
