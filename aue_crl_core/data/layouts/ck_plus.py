"""CK+ (Lucey et al., CVPR Workshops 2010): posed sequences from a neutral face to the apex, with FACS codes.

By the set's own ReadMe (28 September 2010): `cohn-kanade-images/S005/001/S005_001_00000011.png`, every sequence from
the neutral face to the peak; of the peak frame `Emotion/S005/001/S005_001_00000011_emotion.txt` (one number 0-7, see
`LABELS`; 327 of the 593 sequences have one), `FACS/.../..._facs.txt` (lines: AU, intensity; 0 for an AU that is present
with no intensity given) and of every frame `Landmarks/.../..._landmarks.txt` (68 lines x y).

The frame that the label files name, the last of its sequence, carries emotion and FACS codes; an AU that is not named
is not seen. The first frame of
a sequence with an emotion is neutral. Contempt (2) is none of the seven classes: its frames keep their AUs only. The
set brings no split: all of it is `train`, by persons.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aue_crl_core.data.annotations import image_of, read_points
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.au_labels import as_row
from aue_crl_core.data.index import AU_ABSENT, AU_PRESENT, Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS, BASIC_EXPRESSIONS
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES
from aue_crl_core.types import FaceBox

LABELS: Final = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""The emotion file's number -> expression."""
_IMAGES: Final = ("cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
_EMOTION: Final = ("Emotion", "Emotion_labels/Emotion")
_FACS: Final = ("FACS", "FACS_labels/FACS")
_LANDMARKS: Final = ("Landmarks", "Landmarks/Landmarks")
_CODES: Final = range(1, 100)
_SEQUENCE: Final = "S[0-9][0-9][0-9]/[0-9][0-9][0-9]"


def read(root: Path) -> Iterator[Record]:
    """The apex of every labelled sequence, and its first frame where it has an emotion; `subject` is the person.

    Sequences without emotion and FACS file are passed over.

    Raises:
        DatasetError: the images, or both of `Emotion` and `FACS`, are not there, or a label file has another form.
    """
    images, emotion, facs = _folder(root, _IMAGES), _folder(root, _EMOTION), _folder(root, _FACS)
    if not images.is_dir() or not (emotion.is_dir() or facs.is_dir()):
        raise DatasetError(
            f"no CK+ under {root}: expected the folders cohn-kanade-images and Emotion or FACS (or both)"
            f"{found_hint(root, *_IMAGES)}{packed_hint(root)}"
        )
    landmarks = _folder(root, _LANDMARKS)
    sequences = {p.relative_to(base).as_posix() for base in (images, emotion, facs) for p in base.glob(_SEQUENCE)}
    for sequence in sorted(sequences):
        emotion_file, facs_file = _label_file(emotion / sequence), _label_file(facs / sequence)
        if emotion_file is None and facs_file is None:
            continue
        frames = sorted(p for p in (images / sequence).glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        apex = image_of(images / sequence, str((emotion_file or facs_file).stem).rpartition("_")[0], (".png", ".jpg"))
        expression = None if emotion_file is None else _expression(emotion_file)
        yield _record(root, apex, landmarks / sequence, expression, None if facs_file is None else _units(facs_file))
        if expression is not None and frames and frames[0] != apex:
            yield _record(root, frames[0], landmarks / sequence, "neutral", None)


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    """The last of `names` that is there: as the archives unpack, or below a folder of their own."""
    return next((root / name for name in reversed(names) if (root / name).is_dir()), root / names[0])


def _label_file(folder: Path) -> Path | None:
    files = sorted(folder.glob("S*_*.txt"))
    if len(files) > 1:
        raise DatasetError(f"{folder} must hold one label file, got {', '.join(path.name for path in files)}")
    return files[0] if files else None


def _record(root: Path, frame: Path, landmarks: Path, expression: str | None, units: tuple[int, ...] | None) -> Record:
    points = read_points(landmarks / f"{frame.stem}_landmarks.txt")
    other = expression is not None and expression not in BASIC_EXPRESSIONS
    return Record(
        frame.relative_to(root).as_posix(),
        "train",
        label=None if expression is None or other else BASIC_EXPRESSIONS.index(expression),
        box=None if points is None else FaceBox.around(points),
        box_source=None if points is None else "layout",
        points=points,
        points_source=None if points is None else "layout",
        subject=frame.parent.parent.name,
        usable=not other or units is not None,
        reason=f"labelled {expression}, none of the seven expressions" if other else None,
        action_units=units,
    )


def _expression(path: Path) -> str:
    rows = _rows(path, 1, "one number")
    if len(rows) != 1 or rows[0][0] not in range(len(LABELS)):
        raise DatasetError(f"{path} must hold one label in [0, {len(LABELS) - 1}], got {rows}")
    return LABELS[int(rows[0][0])]


def _units(path: Path) -> tuple[int, ...] | None:
    seen = {unit for unit, _ in _rows(path, 2, "lines AU INTENSITY")}
    wrong = [unit for unit in seen if unit not in _CODES]
    if wrong:
        raise DatasetError(f"{path} must name AUs by their code in [1, {_CODES.stop - 1}], got {wrong[0]:g}")
    return as_row({unit: AU_PRESENT if unit in seen else AU_ABSENT for unit in ACTION_UNITS})


def _rows(path: Path, words: int, expected: str) -> list[list[float]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except ValueError as error:
        raise DatasetError(f"{path} must hold {expected}: {error}; copy it again") from error
    if not rows or any(len(row) != words for row in rows):
        raise DatasetError(f"{path} must hold {expected}, got {rows[:3] or 'an empty file'}; copy it again")
    return rows
