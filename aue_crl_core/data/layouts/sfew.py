"""SFEW 2.0 (Dhall et al., EmotiW 2015): film stills with 7 basic labels.

The labels of its test part were never published: results are reported on `Val`, which is therefore the split `test`
here, so that training never chooses anything on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aue_crl_core.data.annotations import image_of, read_ids, read_points
from aue_crl_core.data.archives import packed_hint
from aue_crl_core.data.index import Record
from aue_crl_core.data.roots import found_hint
from aue_crl_core.errors import DatasetError
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES
from aue_crl_core.types import FaceBox

SPLITS: Final = {"Train": "train", "Val": "test"}
CLASSES: Final = ("Surprise", "Fear", "Disgust", "Happy", "Sad", "Angry", "Neutral")
"""The folders, in label order."""
_LISTS: Final = {"Train": "id_train_list.txt", "Val": "id_val_list.txt"}
_MARKS: Final = ("Train/Angry", "Train/imgs/Angry")
_LANDMARKS: Final = Path("Annotations/Landmarks_68_FAN")


def read(root: Path) -> Iterator[Record]:
    """Records of `root/{Train,Val}/CLASS/*` (or `.../imgs/CLASS/*`), sorted by name.

    Points are read from `Annotations/Landmarks_68_FAN/CLASS/NAME.txt` beside, where they are; the box then is the one
    around them. `list_experiment/id_{train,val}_list.txt` (`CLASS/NAME` without suffix), where it is there, says what
    belongs: images that it names and that are not there, and images that it does not name, are listed with that reason.

    Raises:
        DatasetError: a part or a class is absent, a list names another class, or a landmark file has another form.
    """
    for part, split in SPLITS.items():
        images = root / part / "imgs" if (root / part / "imgs").is_dir() else root / part
        absent = [name for name in CLASSES if not (images / name).is_dir()]
        if absent:
            found = "" if images.is_dir() else found_hint(root, *_MARKS)
            raise DatasetError(
                f"no whole SFEW 2.0 under {root}: expected a folder for each of {', '.join(CLASSES)} in {images}, "
                f"{', '.join(absent)} missing{found}{packed_hint(root, root / part, images)}"
            )
        yield from _part(root, images, part, split)


def _part(root: Path, images: Path, part: str, split: str) -> Iterator[Record]:
    there = {
        f"{name}/{path.stem}": path
        for name in CLASSES
        for path in sorted((images / name).iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
    listing = root / "list_experiment" / _LISTS[part]
    wanted = _listed(listing) if listing.is_file() else list(there)
    for identifier in wanted:
        path = there.get(identifier) or image_of(images, identifier, (".png", ".jpg"))
        points = read_points(root / part / _LANDMARKS / f"{identifier}.txt")
        yield Record(
            path.relative_to(root).as_posix(),
            split,
            label=CLASSES.index(identifier.split("/")[0]),
            box=None if points is None else FaceBox.around(points),
            box_source=None if points is None else "layout",
            points=points,
            points_source=None if points is None else "layout",
        )
    for identifier in sorted(set(there) - set(wanted)):
        image = there[identifier].relative_to(root).as_posix()
        yield Record(image, split, usable=False, reason=f"not named by {listing.relative_to(root)}")


def _listed(listing: Path) -> list[str]:
    ids = read_ids(listing)
    for identifier in ids:
        name, separator, _ = identifier.partition("/")
        if not separator or name not in CLASSES:
            raise DatasetError(
                f"{listing} must name CLASS/NAME with CLASS one of {', '.join(CLASSES)}, got {identifier!r}"
            )
    return ids
