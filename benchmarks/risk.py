"""Where a label stops being reliable: how often it is wrong by yaw, pitch, size, sharpness, face score and confidence.

    python benchmarks/risk.py --data ferplus.parquet --split valid --output risk

Every labelled image of the split goes through the whole path, as a camera's would; the label is read from the face that
is nearest to the index's. Writes `risk.md` and `risk.png` into `--output`: the share of wrong labels (with its 95 %
interval, Wilson), the images and the expected calibration error (in brackets what it would come to by chance if every
confidence were right: more, the fewer the images), a row a range, and the same share of the labels that are sure enough
not to be `uncertain`, by which the limits of the pose are chosen; and of the confidence the risk among the so many
surest. The analyzer's limits are the dashed lines. To choose limits take a validation split.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from labelled import labelled_faces

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.evaluation.metrics import calibration_error, calibration_error_by_chance, reliability_bins
from aue_crl_core.types import FacePrediction


@dataclass(frozen=True)
class Quantity:
    """What the risk is shown over: its ranges, and its limit in `AnalyzerConfig` (in the same unit, of either sign)."""

    name: str
    of: Callable[[FacePrediction], float]
    edges: tuple[float, ...]
    limit: str


QUANTITIES: Final = (
    Quantity(
        "yaw, degrees", lambda f: abs(math.degrees(f.quality.yaw)), (0, 10, 20, 30, 40, 50, 60, 90), "max_yaw_deg"
    ),
    Quantity(
        "pitch, degrees",
        lambda f: math.degrees(f.quality.pitch),
        (-90, -45, -30, -20, -10, 0, 10, 20, 30, 45, 90),
        "max_pitch_deg",
    ),
    Quantity("size, px", lambda f: f.quality.size_px, (0, 20, 24, 32, 40, 48, 64, 100, 1e4), "min_face_px"),
    Quantity("sharpness", lambda f: f.quality.sharpness, (0, 8, 15, 30, 60, 120, 250, 500, 1e5), "min_sharpness"),
    Quantity("face score", lambda f: f.quality.face_score, (0, 0.2, 0.5, 0.7, 0.9, 0.97, 1.01), "sure_face_score"),
    Quantity("confidence", lambda f: f.confidence, (0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01), "uncertain_below"),
)


@dataclass(frozen=True)
class Read:
    """A labelled face as it was read, None where none was found; whether the label is wrong."""

    face: FacePrediction | None
    wrong: bool


def read_all(analyzer: FaceAnalyzer, index: DatasetIndex) -> Iterator[Read]:
    """Every labelled image of an index."""
    for record, face in labelled_faces(analyzer, index):
        yield Read(face, face is None or face.expression != index.classes[record.label])


def interval(wrong: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    p, spread = wrong / count, z * z / count
    middle, half = p + spread / 2, z * math.sqrt(p * (1 - p) / count + spread / (4 * count))
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def risk(reads: Sequence[Read]) -> tuple[float, float, float]:
    """The share of wrong labels, and the lower and upper end of its interval; NaN of none."""
    wrong = sum(read.wrong for read in reads)
    return (wrong / len(reads), *interval(wrong, len(reads))) if reads else (math.nan, math.nan, math.nan)


def ece(reads: Sequence[Read]) -> str:
    """Expected calibration error of faces that were found, and what chance alone makes of it."""
    confidence = np.array([r.face.confidence for r in reads])
    bins = reliability_bins(confidence, np.array([not r.wrong for r in reads]))
    return f"{calibration_error(bins) or 0:.1%} ({calibration_error_by_chance(bins) or 0:.1%})"


def rows(reads: Sequence[Read], quantity: Quantity) -> Iterator[tuple[str, list[Read]]]:
    """The name of a range, and the faces in it."""
    found = [(quantity.of(r.face), r) for r in reads if r.face is not None]
    for low, high in pairwise(quantity.edges):
        inside = [read for value, read in found if low <= value < high]
        if inside:
            yield f"{low:g} to {high:g}" if high < 1e4 else f"{low:g} and more", inside


def draw(reads: Sequence[Read], analyzer: FaceAnalyzer, path: Path) -> None:
    """A panel a quantity: risk and its interval; how many images as bars; the analyzer's limits."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(13, 7), sharey=True, layout="constrained")
    for quantity, axis in zip(QUANTITIES, axes.ravel(), strict=True):
        table = list(rows(reads, quantity))
        places = np.arange(len(table))
        wrong, low, high = 100 * np.array([risk(inside) for _, inside in table]).T
        share = np.array([len(inside) for _, inside in table]) / max(1, sum(len(inside) for _, inside in table))
        axis.bar(places, 100 * share, width=0.9, color="0.88", label="share of the images")
        axis.errorbar(places, wrong, [wrong - low, high - wrong], fmt="o-", capsize=3, label="labels that are wrong")
        axis.set_xticks(places, [row[0].replace(" and more", "+").replace(" to ", "-") for row in table], rotation=30)
        limits = vars(analyzer.config) | {"uncertain_below": analyzer.uncertain_below}
        starts = [edge for edge in quantity.edges if any(row[0].startswith(f"{edge:g} ") for row in table)]
        limit = limits[quantity.limit]
        for end in {limit, -limit} if quantity.edges[0] < 0 else {limit}:
            axis.axvline(np.interp(end, starts, places) - 0.5, color="k", linestyle="--", linewidth=1)
        axis.set_title(quantity.name)
        axis.set_ylim(0, 100)
        axis.grid(axis="y", alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("%")
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def text(reads: Sequence[Read], uncertain_below: float) -> str:
    """Markdown."""
    found = [r for r in reads if r.face is not None]
    lines = [
        f"{len(reads)} images; face found in {len(found) / len(reads):.1%}; "
        f"label wrong in {sum(r.wrong for r in found) / len(found):.1%} of those, calibration error {ece(found)}",
    ]
    states = {"ok", "uncertain", "low_quality"}
    for state in sorted(states, reverse=True):
        inside = [r for r in found if r.face.state == state]
        if inside:
            wrong = sum(r.wrong for r in inside) / len(inside)
            lines.append(f"- {state}: {len(inside)} images, wrong {wrong:.1%}, calibration error {ece(inside)}")
    for quantity in QUANTITIES:
        lines += ["", f"| {quantity.name} | images | wrong | 95 % | calibration error | sure | of them wrong | 95 % |"]
        lines += ["|---|---:|---:|---:|---:|---:|---:|---:|"]
        for name, inside in rows(reads, quantity):
            sure = [read for read in inside if read.face.confidence >= uncertain_below]
            every, certain = (f"{r:.1%} | {low:.1%} to {high:.1%}" for r, low, high in (risk(inside), risk(sure)))
            lines.append(f"| {name} | {len(inside)} | {every} | {ece(inside)} | {len(sure)} | {certain} |")
    surest = sorted(found, key=lambda r: -r.face.confidence)
    lines += ["", "| the surest | wrong | confidence from |", "|---|---:|---:|"]
    for share in (0.25, 0.5, 0.75, 0.9, 0.95, 1.0):
        kept = surest[: max(1, round(share * len(surest)))]
        wrong = sum(r.wrong for r in kept) / len(kept)
        lines.append(f"| {share:.0%} | {wrong:.1%} | {kept[-1].face.confidence:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, required=True)
    chosen: Any = parser.parse_args()
    cv2.setNumThreads(1)
    analyzer = FaceAnalyzer.load(chosen.weights, threads=1)
    reads: list[Read] = []
    for path in chosen.data:
        index = DatasetIndex.read(path).select(chosen.split)
        every = max(1, len(index.records) // chosen.most)
        reads += read_all(analyzer, DatasetIndex(index.layout, index.vocabulary, index.root, index.records[::every]))
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "risk.md").write_text(text(reads, analyzer.uncertain_below))
    draw(reads, analyzer, chosen.output / "risk.png")
    print(text(reads, analyzer.uncertain_below))


if __name__ == "__main__":
    main()
