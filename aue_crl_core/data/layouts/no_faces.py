"""Pictures without a face, for the landmark net to learn what is none: any folder of images, `ROOT/**/*`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aue_crl_core.data.index import Record
from aue_crl_core.errors import DatasetError, ImageError
from aue_crl_core.faces.detection.yunet import YuNetDetector
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES, load_image

NAME: Final = "no-faces"
_DOUBTFUL: Final = 0.15
_VALID_SHARE: Final = 0.1


def read(root: Path) -> Iterator[Record]:
    """A record for every place in a picture that YuNet takes for a face, however unsure (`box`), and
    one without a box for every picture where there is none. A tenth of the pictures is `valid`, chosen by name.

    That the pictures show no face is for whoever collects them to see.

    Raises:
        DatasetError: there is no picture.
        ConfigError: YuNet's model is not there.
    """
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DatasetError(f"{root} must hold pictures ({', '.join(sorted(IMAGE_SUFFIXES))}), got none")
    detector = YuNetDetector(score_threshold=_DOUBTFUL)
    for path in paths:
        image = path.relative_to(root).as_posix()
        split = "valid" if zlib.crc32(image.encode()) / 2**32 < _VALID_SHARE else "train"
        try:
            boxes = detector(load_image(path))
        except ImageError as error:
            yield Record(image, split, usable=False, reason=str(error))
            continue
        for box in boxes:
            yield Record(image, split, box=box, box_source="yunet")
        if not boxes:
            yield Record(image, split)
