"""Judge weights on a split of an index, through the same path as on a robot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from aue_crl_core.analyzer import FaceAnalyzer, FaceOutput
from aue_crl_core.config import require
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.errors import DatasetError, ImageError
from aue_crl_core.evaluation.au_metrics import ActionUnitMetrics, compute_action_units
from aue_crl_core.evaluation.metrics import ExpressionMetrics, compute
from aue_crl_core.faces.landmarks import LocatedFace
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FaceBox, Image

BoxSource = Literal["auto", "index", "detect"]
_BATCH = 32


@dataclass(frozen=True)
class Evaluation:
    """Metrics over the same images, and the images that could not be read or held no found face.

    `heads`: `fused` and `expression`; of a method other than AUE-CRL one, by the method's name; empty where no image
    has an expression label. `action_units`: None where none has an AU label, or the weights know no action units.
    """

    heads: dict[str, ExpressionMetrics]
    problems: tuple[tuple[str, str], ...]
    action_units: ActionUnitMetrics | None = None


def evaluate(
    analyzer: FaceAnalyzer,
    index: DatasetIndex,
    boxes: BoxSource = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Score every image of `index` with an expression or AU label (select the split first).

    `boxes`: `auto` takes the boxes that came with the dataset and detects the rest; `index` takes those that `prepare`
    found too; `detect` takes none. Images that cannot be read or show no found face count as errors.

    Raises:
        DatasetError: no labelled image, none that can be read, or weights of another vocabulary than the index.
        ConfigError: another `boxes`.
    """
    require(boxes in get_args(BoxSource), "boxes", f"be one of {', '.join(get_args(BoxSource))}", boxes)
    says_units = bool(analyzer.action_units)
    records = [r for r in index.records if r.label is not None or (says_units and r.action_units is not None)]
    if not records:
        what = "labelled image" if says_units else "image with an expression label (the weights know no action units)"
        raise DatasetError(f"the index has no {what} in this split; choose another --split")
    if analyzer.expressions != index.classes and any(r.label is not None for r in records):
        raise DatasetError(
            f"the weights must know the index's {len(index.classes)} classes {list(index.classes)}, got "
            f"{len(analyzer.expressions)}: {list(analyzer.expressions)}; give weights of vocabulary {index.vocabulary}"
        )
    fused = np.full((len(records), len(analyzer.expressions)), np.nan, dtype=np.float32)
    expression = fused.copy()
    units = np.full((len(records), len(analyzer.action_units)), np.nan, dtype=np.float32)
    problems: list[tuple[str, str]] = []
    unreadable = 0
    for start in range(0, len(records), _BATCH):
        chunk = records[start : start + _BATCH]
        images, rows = [], []
        for offset, record in enumerate(chunk):
            try:
                images.append(load_image(index.path(record)))
                rows.append(start + offset)
            except ImageError as error:
                problems.append((record.image, str(error)))
                unreadable += 1
        for row, output in _outputs(analyzer, images, [records[r] for r in rows], rows, boxes):
            if output is None:
                problems.append((records[row].image, "no face found"))
            else:
                fused[row], expression[row] = output.probabilities, output.expression_probabilities
                units[row] = output.action_units
        progress(min(start + _BATCH, len(records)), len(records))
    if unreadable == len(records):
        raise DatasetError(
            f"none of the {len(records)} images could be read, the first because {problems[0][1]}; "
            "if the dataset was moved, name its folder with --root"
        )
    labelled = [i for i, r in enumerate(records) if r.label is not None]
    heads = {}
    if labelled:
        labels = np.array([records[i].label for i in labelled])
        method = analyzer.engine.config.method
        said = {"fused": fused, "expression": expression} if method == "aue_crl" else {method: fused}
        heads = {name: compute(labels, p[labelled], index.classes) for name, p in said.items()}
    coded = [i for i, r in enumerate(records) if says_units and r.action_units is not None]
    action_units = compute_action_units([records[i].action_units for i in coded], units[coded]) if coded else None
    return Evaluation(heads, tuple(problems), action_units)


def _outputs(
    analyzer: FaceAnalyzer, images: Sequence[Image], records: Sequence[Record], rows: Sequence[int], boxes: BoxSource
) -> Iterator[tuple[int, FaceOutput | None]]:
    given = [_given_box(record, boxes) for record in records]
    known = [i for i, box in enumerate(given) if box is not None]
    outputs = analyzer.in_boxes([images[i] for i in known], [given[i] for i in known])
    yield from zip((rows[i] for i in known), outputs, strict=True)
    unknown = [i for i, box in enumerate(given) if box is None]
    found = analyzer.find([images[i] for i in unknown])
    chosen = [(i, _labelled(faces, records[i].box)) for i, faces in zip(unknown, found, strict=True) if faces]
    outputs = analyzer.outputs([(images[i], face) for i, face in chosen])
    yield from zip((rows[i] for i, _ in chosen), outputs, strict=True)
    yield from ((rows[i], None) for i, faces in zip(unknown, found, strict=True) if not faces)


def _given_box(record: Record, boxes: BoxSource) -> FaceBox | None:
    if boxes == "index" or (boxes == "auto" and record.box_source == "layout"):
        return record.box
    return None


def _labelled(faces: Sequence[LocatedFace], box: FaceBox | None) -> LocatedFace:
    """Of several faces the one that the label speaks of: nearest to the index's box, else the largest."""
    if box is None:
        return faces[0]
    middle = np.array([box.x + box.w / 2, box.y + box.h / 2])
    return min(faces, key=lambda f: float(np.linalg.norm(f.points.mean(axis=0) - middle)))
