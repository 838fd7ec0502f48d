"""Mean error of the face points on held-out images, found the way a robot finds them.

    python benchmarks/points.py INDEX.parquet --split valid [--weights edge]

The index's own points (mediapipe's) are taken for the truth. Prints the mean distance over the distance of the outer
eye corners, for boxes of the detector (`detected`) and for the canonical crop that training sees (`canonical`).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import ImageError
from aue_crl_core.faces.landmarks import Seed, locate
from aue_crl_core.facs import OUTER_EYE_CORNERS
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import Points

_MATCHED = 1.0
"""A detected face farther than this (in eye distances, mean over its points) is another face: counted as missed."""


def error(points: Points, truth: Points) -> float:
    """Mean point distance in outer eye corner distances."""
    right, left = OUTER_EYE_CORNERS
    return float(np.linalg.norm(points - truth, axis=1).mean() / np.linalg.norm(truth[right] - truth[left]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--weights", default="edge")
    options = parser.parse_args()
    analyzer = FaceAnalyzer.load(options.weights)
    index = DatasetIndex.read(options.index).select(options.split)
    crop = replace(analyzer.engine.config.preprocessing, input_size=analyzer.engine.landmark_size)
    detected, canonical, missed = [], [], 0
    for record in index.records:
        if record.points is None:
            continue
        try:
            image = load_image(index.path(record))
        except ImageError as problem:
            print(problem)
            continue
        canonical.append(error(locate(analyzer.engine, crop, [Seed(image, record.points)])[0].points, record.points))
        errors = [error(face.points, record.points) for face in analyzer.find([image])[0]]
        if errors and min(errors) < _MATCHED:
            detected.append(min(errors))
        else:
            missed += 1
    for name, values in (("canonical", canonical), ("detected", detected)):
        shares = [100 * float(f) for f in (np.mean(values), np.median(values), np.percentile(values, 95))]
        print(f"{name:10} n {len(values):5}  mean {shares[0]:.2f} %  median {shares[1]:.2f} %  p95 {shares[2]:.2f} %")
    print(f"missed by the detector: {missed} of {len(canonical)}")


if __name__ == "__main__":
    main()
