"""Whether action units follow how a face moves from its own rest, with and without a neutral face learned.

    python benchmarks/resting.py --data jaffe.parquet --split train

For an index that names persons (`subject`) and has the face mesh's measurements. Every face of a person of whom there
is another neutral photograph goes through the whole path; one of those others, drawn at random, is what is learned
(`NeutralProfile`). Judged by the mesh, for the AUs that geometry shows: how far its measurement (in standard deviations
over the index) is from the mean of the person's other neutral photographs, for a brow that always sits high raises
nothing. `moves`: Spearman's correlation of the AU with that; AUC and F1 at 0.5 of having moved by `_MOVED` or more; and
how many AUs of at least 0.5 a neutral and another face have. Choose on training or validation splits.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from action_units import SEEN, Reading, spearman, units_of
from labelled import labelled_faces
from numpy.typing import NDArray

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.au_evidence import raw_scores
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.dynamics.neutral import NEUTRAL, NeutralProfile
from aue_crl_core.evaluation.au_metrics import THRESHOLD, UNLABELLED, compute_action_units
from aue_crl_core.facs import ACTION_UNITS

_MOVED: Final = 1.0


class Judged(NamedTuple):
    """N faces: readings as they are and with a neutral face learned, whether they are neutral, and how far the mesh's
    measurements are from rest, Nx17."""

    plain: list[Reading]
    rested: list[Reading]
    neutral: NDArray[np.bool_]
    moved: NDArray[np.float64]


def judge(analyzer: FaceAnalyzer, index: DatasetIndex) -> Judged:
    """See the module."""
    known = [
        Reading(record, face)
        for record, face in labelled_faces(analyzer, index)
        if face is not None and record.subject is not None and record.mesh_distances is not None
    ]
    if not known:
        raise SystemExit("no face found whose index names the person and has the face mesh's measurements")
    scores = raw_scores(
        np.array([r.record.blendshapes for r in known]), np.array([r.record.mesh_distances for r in known])
    )
    neutral = np.array([index.classes[r.record.label] == NEUTRAL for r in known])
    at_rest: dict[str, list[int]] = defaultdict(list)
    for i in np.flatnonzero(neutral):
        at_rest[known[i].record.subject].append(int(i))
    rng, rows, rested, moved = np.random.default_rng(0), [], [], []
    for i, reading in enumerate(known):
        others = [j for j in at_rest[reading.record.subject] if j != i]
        if others:
            profile = NeutralProfile.learned([known[rng.choice(others)].face])
            rows.append(i)
            rested.append(Reading(reading.record, profile.apply(reading.face)))
            moved.append(scores[i] - scores[others].mean(axis=0))
    return Judged([known[i] for i in rows], rested, neutral[rows], np.array(moved))


def table(judged: Judged) -> str:
    """Markdown: a row an AU, and the means."""
    truth = np.full(judged.moved.shape, UNLABELLED[0])
    truth[:, SEEN] = judged.moved[:, SEEN] >= _MOVED
    rows: dict[int, list[float]] = defaultdict(list)
    counts = []
    for readings in (judged.plain, judged.rested):
        said = units_of(readings)
        metrics = {unit.unit: unit for unit in compute_action_units(truth.tolist(), said).units}
        for place in SEEN:
            unit = ACTION_UNITS[place]
            follows = spearman(said[:, place], judged.moved[:, place])
            rows[unit] += [follows, *(np.nan if v is None else v for v in (metrics[unit].auc, metrics[unit].f1))]
        told = (said >= THRESHOLD).sum(axis=1)
        counts.append((told[judged.neutral].mean(), told[~judged.neutral].mean()))
    lines = [
        "| AU | moves | AUC | F1 | with rest: moves | AUC | F1 |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(f"| {unit} | " + " | ".join(f"{v:.2f}" for v in row) + " |" for unit, row in rows.items()),
        "| mean | " + " | ".join(f"{v:.3f}" for v in np.nanmean(list(rows.values()), axis=0)) + " |",
        "",
        f"{len(judged.plain)} faces, {judged.neutral.sum()} of them neutral; AUs of at least 0.5 on a neutral face "
        f"{counts[0][0]:.2f}, with rest {counts[1][0]:.2f}; on another {counts[0][1]:.2f}, {counts[1][1]:.2f}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--weights", default="edge")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    index = DatasetIndex.read(arguments.data).select(arguments.split)
    print(table(judge(FaceAnalyzer.load(arguments.weights, threads=1), index)))


if __name__ == "__main__":
    main()
