"""Sets of posed photographs that say in the file's name who shows what: KDEF and JAFFE.

KDEF (Lundqvist, Flykt & Öhman, 1998; kdef.se, "About KDEF"): `AF01ANS.JPG` is the first session (A, B), a woman (F, M),
person 01, angry (AF afraid, AN, DI, HA, NE, SA, SU), seen straight (S; HL, HR half and FL, FR full profile).
JAFFE (Lyons et al., FG 1998; zenodo.org/record/3451524): `KA.AN1.39.tiff` is person KA, angry (AN, DI, FE, HA, NE, SA,
SU), the first such picture, number 39 of the set.

Neither set brings a split: all of it is `train`. The names say who it is, so that persons are held out as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.names import expression_of
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES

_KDEF: Final = re.compile(r"[AB](?P<person>[FM]\d\d)(?P<label>AF|AN|DI|HA|NE|SA|SU)(S|HL|HR|FL|FR)", re.IGNORECASE)
_JAFFE: Final = re.compile(r"(?P<person>[A-Z]{2})\.(?P<label>AN|DI|FE|HA|NE|SA|SU)\d+\.\d+", re.IGNORECASE)


def read_kdef(root: Path) -> Iterator[Record]:
    """Records of the images below `root` whose names read like AF01ANS; see `_read`."""
    return _read(root, "KDEF", _KDEF, "AF01ANS")


def read_jaffe(root: Path) -> Iterator[Record]:
    """Records of the images below `root` whose names read like KA.AN1.39; see `_read`."""
    return _read(root, "JAFFE", _JAFFE, "KA.AN1.39")


def _read(root: Path, name: str, pattern: re.Pattern[str], example: str) -> Iterator[Record]:
    """One record per image in any folder below `root`; those of another name are listed as unusable.

    Raises:
        DatasetError: no image has such a name.
    """
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not any(pattern.fullmatch(path.stem) for path in paths):
        raise DatasetError(
            f"no {name} under {root}: expected images called like {example}, none of {len(paths)} is"
            f"{found_hint(root)}{packed_hint(root)}"
        )
    for path in paths:
        image, found = path.relative_to(root).as_posix(), pattern.fullmatch(path.stem)
        if found is None:
            yield Record(image, "train", usable=False, reason=f"its name does not read like {example}")
            continue
        label = BASIC_EXPRESSIONS.index(str(expression_of(found["label"])))
        yield Record(image, "train", label=label, subject=found["person"].upper())
