"""BP4D-Spontaneous (Zhang et al., IVC 2014): video frames with AU labels, three identity folds, no expression labels.

Of the 12 AUs of its benchmark, 14 is unknown to the network; the index carries the other 11.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aue_crl_core.data.annotations import image_of, read_ids, read_lines, read_points, read_rows
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.au_labels import as_row, occurrence
from aue_crl_core.data.index import Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES
from aue_crl_core.types import FaceBox

ACTION_UNITS: Final = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
"""The benchmark's 12, in the order of its label files."""

FOLDS: Final = (
    ("F001", "M007", "F018", "F008", "F002", "M004", "F010", "F009", "M012", "M001", "F016", "M014", "F023", "M008"),
    ("M011", "F003", "M010", "M002", "F005", "F022", "M018", "M017", "F013", "M016", "F020", "F011", "M013", "M005"),
    ("F007", "F015", "F006", "F019", "M006", "M009", "F012", "M003", "F004", "F021", "F017", "M015", "F014"),
)
"""The persons of the folds 1-3, as the benchmark's papers share them."""

_IMAGE_FOLDERS: Final = ("2D+3D", "2D_img", "Sequences", "img")
_SUBJECT: Final = re.compile(r"[FM]\d{3}")
_FRAME: Final = re.compile(r"\s*\d{1,9}\s*")
_CODES: Final = re.compile(r"([FM]\d{3})_(T\d+)\.csv")


def read(root: Path, fold: int = 3) -> Iterator[Record]:
    """Records of the labelled frames; persons of `fold` (1-3) are `test`, the others `train`.

    Two layouts are known. The set's own: `AUCoding/AU_OCC/F001_T1.csv` (first column the frame, then one column an AU
    with its code as heading; 9 for not coded), frames `F001/T1/0001.jpg` below one of `2D+3D`, `2D_img`, `Sequences`,
    `img`. And that of the reference code: `list_experiment/id_fold{1,2,3}.txt` or unions of them (`id_fold1_2.txt`),
    `2D_img/ID.jpg`, `Annotations/AUs/ID.txt` (lines: place among the 12, value) and `Annotations/Landmarks/ID.txt`
    (68 lines, optional). `subject` is the person.

    Raises:
        DatasetError: neither layout is there, a part of it is absent, a label is no occurrence, a person is in no
            fold, or there is no such fold.
    """
    if fold not in (1, 2, 3):
        raise DatasetError(f"the fold of BP4D must be 1, 2 or 3, got {fold}")
    if (root / "AUCoding/AU_OCC").is_dir():
        return _own(root, fold)
    if (root / "list_experiment").is_dir():
        return _listed(root, fold)
    raise DatasetError(
        f"no BP4D under {root}: expected {root / 'AUCoding/AU_OCC'} (or {root / 'list_experiment'})"
        f"{found_hint(root, 'AUCoding/AU_OCC', 'list_experiment')}{packed_hint(root, root / 'AUCoding')}"
    )


def _own(root: Path, fold: int) -> Iterator[Record]:
    coding = root / "AUCoding/AU_OCC"
    sheets = sorted(path for path in coding.iterdir() if _CODES.fullmatch(path.name))
    if not sheets:
        raise DatasetError(f"{coding} must hold sheets like F001_T1.csv, got none{packed_hint(coding)}")
    folder = next((root / name for name in _IMAGE_FOLDERS if (root / name).is_dir()), None)
    if folder is None:
        names = ", ".join(_IMAGE_FOLDERS)
        raise DatasetError(f"no frames of BP4D: expected one of the folders {names} in {root}{packed_hint(root)}")
    for sheet in sheets:
        person, task = _CODES.fullmatch(sheet.name).groups()
        split = "test" if _fold_of(person, str(sheet)) == fold else "train"
        place = folder / person / task
        frames = (
            {_number(p): p for p in place.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES} if place.is_dir() else {}
        )
        for number, codes in _sheet(sheet):
            path = frames.get(number, place / f"{number}.jpg")
            yield _record(root, path, split, person, codes)


def _number(path: Path) -> int | None:
    return int(path.stem) if path.stem.isdecimal() else None


def _sheet(path: Path) -> Iterator[tuple[int, dict[int, int]]]:
    """Frame number -> FACS code -> occurrence."""
    rows = read_rows(path)
    _, first = next(rows, ("", []))
    heading = [cell.strip() for cell in first]
    missing = [str(unit) for unit in ACTION_UNITS if str(unit) not in heading[1:]]
    if missing:
        raise DatasetError(f"{path} must have a column for every AU of {ACTION_UNITS}, {', '.join(missing)} missing")
    columns = {unit: heading.index(str(unit), 1) for unit in ACTION_UNITS}
    for where, row in rows:
        if len(row) != len(heading) or not _FRAME.fullmatch(row[0]):
            raise DatasetError(f"{where} must have {len(heading)} cells, the first a frame number, got {len(row)}")
        yield int(row[0]), {unit: occurrence(row[i], f"{where}, AU {unit}") for unit, i in columns.items()}


def _listed(root: Path, fold: int) -> Iterator[Record]:
    lists = root / "list_experiment"
    for part in ("2D_img", "Annotations/AUs"):
        if not (root / part).is_dir():
            hint = packed_hint(root, root / "Annotations")
            raise DatasetError(f"no whole BP4D under {root}: expected the folder {root / part}{hint}")
    others = tuple(k for k in (1, 2, 3) if k != fold)
    test = _list_of(lists, (fold,))
    if _named(lists, others).is_file():
        train = _list_of(lists, others)
    else:
        train = [identifier for k in others for identifier in _list_of(lists, (k,))]
    for split, ids in (("train", train), ("test", test)):
        for identifier in ids:
            found = _SUBJECT.search(identifier)
            yield _record(
                root,
                image_of(root / "2D_img", identifier),
                split,
                found[0] if found else None,
                _positions(root / "Annotations/AUs" / f"{identifier}.txt"),
                root / "Annotations/Landmarks" / f"{identifier}.txt",
            )


def _named(lists: Path, folds: tuple[int, ...]) -> Path:
    return lists / f"id_fold{'_'.join(map(str, folds))}.txt"


def _list_of(lists: Path, folds: tuple[int, ...]) -> list[str]:
    path = _named(lists, folds)
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in lists.glob("id_fold*.txt"))) or "none"
        raise DatasetError(f"no list {path} of BP4D's folds; there are: {there}; choose another --fold")
    return read_ids(path)


def _positions(path: Path) -> dict[int, int]:
    """Lines `place value`: the AUs that are named are seen (0: not seen, 9: not coded), all others are not."""
    if not os.path.isfile(path):
        raise DatasetError(f"{path} is not there, but a list names its frame; copy the label files again")
    codes = dict.fromkeys(ACTION_UNITS, 0)
    for where, line in read_lines(path):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            place, value = (float(word) for word in words)
        except ValueError as error:
            raise DatasetError(f"{where} must read PLACE VALUE, got {line!r}") from error
        if place not in range(len(ACTION_UNITS)):
            raise DatasetError(f"{where}: PLACE must be in [0, {len(ACTION_UNITS) - 1}], got {words[0]}")
        codes[ACTION_UNITS[int(place)]] = occurrence(value if value in (0, 9) else 1, where)
    return codes


def _fold_of(person: str, where: str) -> int:
    for number, persons in enumerate(FOLDS, start=1):
        if person in persons:
            return number
    raise DatasetError(f"{where}: {person} is none of BP4D's 41 persons (is this another set, BP4D+?)")


def _record(
    root: Path, path: Path, split: str, person: str | None, codes: dict[int, int], landmarks: Path | None = None
) -> Record:
    image, units = path.relative_to(root).as_posix(), as_row(codes)
    if units is None:
        return Record(image, split, subject=person, usable=False, reason="no action unit of this frame is coded")
    points = None if landmarks is None else read_points(landmarks)
    return Record(
        image,
        split,
        box=None if points is None else FaceBox.around(points),
        box_source=None if points is None else "layout",
        points=points,
        points_source=None if points is None else "layout",
        subject=person,
        action_units=units,
    )
