"""The faces that an index's labels speak of, as a camera's path reads them."""

from __future__ import annotations

from collections.abc import Iterator

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FaceBox, FacePrediction


def labelled_faces(analyzer: FaceAnalyzer, index: DatasetIndex) -> Iterator[tuple[Record, FacePrediction | None]]:
    """Every usable labelled image: its record, and the found face that overlaps the index's most; None: none found."""
    for record in index.records:
        if not record.usable or record.label is None:
            continue
        faces = analyzer(load_image(index.path(record)))
        box = record.box or (FaceBox.around(record.points) if record.points is not None else None)
        if box is not None:
            faces = sorted(faces, key=lambda f, box=box: -f.box.iou(box))
        yield record, faces[0] if faces else None
