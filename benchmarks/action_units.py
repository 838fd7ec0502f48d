"""Whether action units follow the face: judged by a face mesh within each expression, and by human codes.

    python benchmarks/action_units.py --data raf.parquet --split valid --weights edge --output action_units

Every usable labelled image of the split goes through the whole path, as a camera's would. For the faces whose index
has blendshapes (`prepare` with the face mesh):

- `follows`: Spearman's correlation of the AU with the mesh's measurement of it (the first of `EVIDENCE`) among the
  faces of one expression, mean over the expressions with 30 faces or more, weighted by their faces;
- `explained`: the share of the AU's variance that a linear map of the network's expression probabilities explains: 1
  says no more than the expression does;
- `intensity`: Lin's concordance of the AU's intensity (0 to 5) with how strong the mesh shows it, on the scale of the
  split's own faces, and the mean absolute difference;
- `sides`: Spearman's correlation of the difference between left and right (`faces.sides`, in log-odds) with that of the
  blendshapes, over the faces that are turned little enough.

Where the index has human AU labels, or `--codes` has codes of its images (`research/au_codes.csv`; undecided ones do
not count): area under the ROC curve, and F1 at 0.5. Writes `action_units.md` and a sheet of
the twelve faces with most and least of each AU within `--expression` into `--output`. Choose on validation splits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from labelled import labelled_faces
from numpy.typing import NDArray

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.data.au_evidence import EVIDENCE, INTENSITY_UNITS, measurement, strengths
from aue_crl_core.data.au_labels import as_row, read_codes
from aue_crl_core.data.face_mesh import BLENDSHAPES
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.dynamics.neutral import NEUTRAL
from aue_crl_core.evaluation.au_metrics import compute_action_units, concordance
from aue_crl_core.faces.crop import cut, map_from_points
from aue_crl_core.facs import ACTION_UNIT_NAMES, ACTION_UNITS, MOST_INTENSITY
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FacePrediction, Image

SEEN: Final = tuple(i for i, unit in enumerate(ACTION_UNITS) if EVIDENCE[unit].sight == "seen")
SIDED: Final = {2: "browOuterUp", 4: "browDown", 12: "mouthSmile", 20: "mouthStretch"}
"""AU -> the blendshape that there is of either side."""
_LEAST_FACES: Final = 30
_SHEET: Final = 12


@dataclass(frozen=True)
class Reading:
    """A labelled face as it was read."""

    record: Record
    face: FacePrediction


def read_all(analyzer: FaceAnalyzer, index: DatasetIndex) -> list[Reading]:
    """The labelled face of every usable image, where one was found."""
    return [Reading(record, face) for record, face in labelled_faces(analyzer, index) if face is not None]


def with_codes(index: DatasetIndex, table: Path) -> DatasetIndex:
    """The index, its images labelled with the AUs of a table of codes (see `read_codes`) and no others."""
    codes = read_codes(table)
    sure = {image: {unit: int(v) for unit, v in row.items() if v in (0, 1)} for image, row in codes.items()}
    return replace(index, records=tuple(replace(r, action_units=as_row(sure.get(r.image, {}))) for r in index.records))


def units_of(readings: Sequence[Reading]) -> NDArray[np.float64]:
    """AU probabilities Nx17."""
    return np.array([[r.face.action_units[unit] for unit in ACTION_UNITS] for r in readings])


def follows(said: NDArray[np.float64], shown: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Spearman's correlation within each label, mean over the labels by their faces; None without a label of enough."""
    total, faces = 0.0, 0
    for label in np.unique(labels):
        inside = labels == label
        if inside.sum() >= _LEAST_FACES:
            total += inside.sum() * spearman(said[inside], shown[inside])
            faces += int(inside.sum())
    return total / faces if faces else None


def sides_follow(readings: Sequence[Reading], unit: int) -> float | None:
    """How the difference of an AU between left and right follows the blendshapes'; None for one without sides."""
    both = [r for r in readings if r.face.sides and r.record.blendshapes is not None]
    if unit not in SIDED or len(both) < _LEAST_FACES:
        return None
    left, right = (BLENDSHAPES.index(SIDED[unit] + side) for side in ("Left", "Right"))
    shown = np.array([r.record.blendshapes[left] - r.record.blendshapes[right] for r in both])
    said = np.clip([[r.face.sides[side][unit] for side in ("left", "right")] for r in both], 1e-4, 1 - 1e-4)
    odds = np.log(said / (1 - said))
    return spearman(odds[:, 0] - odds[:, 1], shown)


def intensities_agree(readings: Sequence[Reading], index: DatasetIndex) -> dict[int, tuple[float, float]]:
    """AU -> concordance with the mesh and mean absolute difference; {} where network or split tell none."""
    known = [r for r in readings if r.record.blendshapes is not None and r.face.intensities]
    neutral = np.array([index.classes[r.record.label] == NEUTRAL for r in known], dtype=bool)
    if neutral.sum() < _LEAST_FACES:
        return {}
    blendshapes = np.array([r.record.blendshapes for r in known])
    shown = MOST_INTENSITY * strengths(blendshapes, np.array([r.record.mesh_distances for r in known]), neutral)
    said = np.array([[r.face.intensities[unit] for unit in INTENSITY_UNITS] for r in known])
    pairs = zip(INTENSITY_UNITS, said.T, shown.T, strict=True)
    return {unit: (concordance(ours, mesh), float(np.abs(ours - mesh).mean())) for unit, ours, mesh in pairs}


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; 0 where one of them is the same everywhere."""
    ranks = []
    for values in (a, b):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[place])
    return float(np.corrcoef(*ranks)[0, 1]) if min(np.ptp(r) for r in ranks) > 0 else 0.0


def explained(said: NDArray[np.float64], expressions: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each of 17 AUs the share of the variance of `said` Nx17 that a linear map of `expressions` NxC explains."""
    given = np.column_stack([np.ones(len(said)), expressions])
    left = said - given @ np.linalg.lstsq(given, said, rcond=None)[0]
    return 1 - left.var(axis=0) / np.maximum(said.var(axis=0), 1e-12)


def text(readings: Sequence[Reading], index: DatasetIndex) -> str:
    """Markdown."""
    said = units_of(readings)
    expressions = np.array([[r.face.probabilities[name] for name in index.classes] for r in readings])
    shares = explained(said, expressions)
    known = [i for i, r in enumerate(readings) if r.record.blendshapes is not None]
    blendshapes = np.array([readings[i].record.blendshapes for i in known])
    distances = np.array([readings[i].record.mesh_distances for i in known])
    labels = np.array([readings[i].record.label for i in known])
    coded = [r for r in readings if r.record.action_units is not None]
    human = compute_action_units([r.record.action_units for r in coded], units_of(coded)) if coded else None
    strong = intensities_agree(readings, index)
    by_unit = {} if human is None else {u.unit: u for u in human.units}
    lines = [f"{len(readings)} faces, {len(known)} of them with the face mesh's evidence", ""]
    lines += [
        "| AU | | follows | explained | mean | at least 0.5 | AUC | F1 | sides | intensity | off by |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    followed: list[float] = []
    for i, unit in enumerate(ACTION_UNITS):
        shown = measurement(EVIDENCE[unit].measures[0][0], blendshapes, distances) if known else None
        sign = np.sign(EVIDENCE[unit].measures[0][1])
        value = None if shown is None else follows(said[known, i], sign * shown, labels)
        followed.append(np.nan if value is None else value)
        scores = by_unit.get(unit)
        cells = [value, shares[i], said[:, i].mean(), (said[:, i] >= 0.5).mean()]
        cells += [scores.auc if scores else None, scores.f1 if scores else None, sides_follow(readings, unit)]
        cells += strong.get(unit, (None, None))
        lines.append(f"| {unit} | {ACTION_UNIT_NAMES[unit]} | " + " | ".join(_shown(c) for c in cells) + " |")
    for name, chosen in (("17", range(len(ACTION_UNITS))), (f"{len(SEEN)} that geometry shows", SEEN)):
        scores = [by_unit[ACTION_UNITS[i]] for i in chosen if ACTION_UNITS[i] in by_unit]
        cells = [_shown(c) for c in (np.mean([followed[i] for i in chosen]), shares[list(chosen)].mean())]
        cells += ["", "", _shown(_mean([s.auc for s in scores])), _shown(_mean([s.f1 for s in scores])), ""]
        agreed = [strong[ACTION_UNITS[i]] for i in chosen] if strong and tuple(chosen) == SEEN else []
        cells += [_shown(_mean([pair[part] for pair in agreed])) for part in range(2)]
        lines.append(f"| mean of {name} | | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _shown(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.2f}"


def _mean(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return float(np.mean(told)) if told else None


def sheet(readings: Sequence[Reading], index: DatasetIndex, analyzer: FaceAnalyzer) -> Image:
    """A row an AU: the faces with most of it, a gap, those with least."""
    said = units_of(readings)
    rows = []
    for i, unit in enumerate(ACTION_UNITS):
        order = np.argsort(-said[:, i])
        most, least = order[:_SHEET], order[::-1][:_SHEET]
        faces = [_crop(readings[j], index, analyzer) for j in (*most, *least)]
        gap = np.full((96, 24, 3), 255, dtype=np.uint8)
        name = np.full((96, 130, 3), 255, dtype=np.uint8)
        cv2.putText(name, f"AU{unit}", (6, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2, cv2.LINE_AA)
        cv2.putText(name, f"{said[most, i].mean():.2f} {said[least, i].mean():.2f}", (6, 70), 0, 0.5, (90, 90, 90), 1)
        rows.append(np.hstack([name, *faces[: len(most)], gap, *faces[len(most) :]]))
    return np.vstack(rows)


def _crop(reading: Reading, index: DatasetIndex, analyzer: FaceAnalyzer) -> Image:
    image, preprocessing = load_image(index.path(reading.record)), analyzer.engine.config.preprocessing
    face = cut(image, map_from_points(reading.face.landmarks, preprocessing), preprocessing.input_size)
    return cv2.resize(face, (96, 96))


def main() -> None:
    """Read the options, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an index that prepare wrote with the face mesh")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--codes", type=Path, help="a table of AUs as people see them: see the module")
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--engine", default="onnx", choices=("onnx", "torch", "openvino"))
    parser.add_argument("--expression", default="happiness", help="the label whose faces the sheet shows")
    parser.add_argument("--most", type=int, default=0, help="of the images, in the index's order; 0: all")
    parser.add_argument("--output", type=Path, default=Path("action_units"))
    options = parser.parse_args()
    index = DatasetIndex.read(options.data).select(options.split)
    if options.most:
        index = DatasetIndex(index.layout, index.vocabulary, index.root, index.records[: options.most], index.file)
    if options.codes:
        index = with_codes(index, options.codes)
    analyzer = FaceAnalyzer.load(options.weights, engine=options.engine, config=AnalyzerConfig(sides=True))
    readings = read_all(analyzer, index)
    options.output.mkdir(parents=True, exist_ok=True)
    table = text(readings, index)
    (options.output / "action_units.md").write_text(table)
    chosen = [r for r in readings if index.classes[r.record.label] == options.expression]
    if len(chosen) >= 2 * _SHEET:
        drawn = cv2.cvtColor(sheet(chosen, index, analyzer), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(options.output / f"{options.expression}.jpg"), drawn)
    print(table, end="")


if __name__ == "__main__":
    main()
