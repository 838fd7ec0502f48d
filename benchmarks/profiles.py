"""Faces turned aside, up to profiles: found, their points, their pose, and whether the answer is called low_quality.

    python benchmarks/profiles.py AFLW2000

The folder holds AFLW2000-3D (Zhu et al., CVPR 2016): `image*.jpg`, 450x450 pixels, and beside each a `.mat` with 68
points (iBUG order, those that cannot be seen too) and the pose of one face. Each picture goes through the whole path. A
row a range of yaw: faces found (a box over the face's own, intersection over union at least 0.3), mean distance of the
points over the square root of their box's area (the set's own measure), mean error of yaw, pitch and roll in degrees
(of poses below 99 degrees, as is usual with this set: beyond they are wrong), and the share of found faces that are
`low_quality`. Needs scipy.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FacePrediction, Points

EDGES: Final = (0, 15, 30, 45, 60, 75, 91)
_OVERLAP: Final = 0.3
_WRONG: Final = 99


@dataclass(frozen=True)
class Truth:
    """A face's points, and its pose in degrees as `HeadPose` tells it; `pose_told`: whether that can be right."""

    points: Points
    yaw: float
    pitch: float
    roll: float
    pose_told: bool


@dataclass(frozen=True)
class Read:
    """What was said of a face; None where it was not found."""

    truth: Truth
    face: FacePrediction | None


def truth_of(file: Path) -> Truth:
    """What a `.mat` of the set says: its head is turned by Rx(-pitch) Ry(yaw) Rz(roll), ours by Rz Ry Rx."""
    from scipy.io import loadmat
    from scipy.spatial.transform import Rotation

    values = loadmat(file)
    angles = values["Pose_Para"][0, :3] * (-1, 1, 1)
    across, down, away = Rotation.from_euler("XYZ", angles).as_matrix()
    pose = np.degrees([np.arcsin(away[0]), -np.arctan2(away[1], away[2]), -np.arctan2(down[0], across[0])])
    told = bool((np.abs(angles) < math.radians(_WRONG)).all())
    return Truth(values["pt3d_68"][:2].T.astype(np.float32), *map(float, pose), told)


def overlap(points: Points, face: FacePrediction) -> float:
    """Intersection over union of the boxes of two faces' points."""
    corners = [(p.min(axis=0), p.max(axis=0)) for p in (points, face.landmarks)]
    both = np.minimum(corners[0][1], corners[1][1]) - np.maximum(corners[0][0], corners[1][0])
    common = float(np.prod(np.maximum(both, 0)))
    areas = [float(np.prod(high - low)) for low, high in corners]
    return common / (sum(areas) - common)


def row(name: str, reads: list[Read]) -> str:
    """A row of the table."""
    found = [(r.truth, r.face) for r in reads if r.face is not None]
    side = [math.sqrt(float(np.prod(np.ptp(t.points, axis=0)))) for t, _ in found]
    apart = [np.linalg.norm(f.landmarks - t.points, axis=1).mean() / s for (t, f), s in zip(found, side, strict=True)]
    told = [((t.yaw, t.pitch, t.roll), f.quality) for t, f in found if t.pose_told]
    off = np.array([np.degrees((q.yaw, q.pitch, q.roll)) - pose for pose, q in told])
    yaw, pitch, roll = np.abs((off + 180) % 360 - 180).mean(axis=0)
    low = np.mean([f.state == "low_quality" for _, f in found])
    share = f"{len(found) / len(reads):.1%} | {np.mean(apart):.1%}"
    return f"| {name} | {len(reads)} | {share} | {yaw:.1f} | {pitch:.1f} | {roll:.1f} | {low:.0%} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="edge")
    chosen = parser.parse_args()
    files = sorted(chosen.folder.glob("*.mat"))
    if not files:
        raise SystemExit(f"{chosen.folder} must hold AFLW2000-3D's image*.jpg and image*.mat, got no .mat")
    analyzer = FaceAnalyzer.load(chosen.weights, threads=2)
    reads = []
    for file in files:
        truth = truth_of(file)
        faces = [(overlap(truth.points, face), face) for face in analyzer(load_image(file.with_suffix(".jpg")))]
        share, face = max(faces, key=lambda pair: pair[0], default=(0.0, None))
        reads.append(Read(truth, face if share >= _OVERLAP else None))
    print("| yaw, degrees | faces | found | points apart | error of yaw | of pitch | of roll | low_quality |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for low, high in pairwise(EDGES):
        inside = [r for r in reads if low <= abs(r.truth.yaw) < high]
        if inside:
            print(row(f"{low} to {min(high, 90)}", inside))
    print(row("all", reads))


if __name__ == "__main__":
    main()
