"""How well faces are found: recall by size, yaw, roll, light and blur, precision, and false faces, for every detector.

    python benchmarks/detection.py --photos raf.parquet --scenes SCENES --empty FRAMES --output detection

`--photos` an index of photographs of one face each, with points (its `--split` is used); they are shown as they are,
and pasted into a camera's image (a picture of `--empty`) at other sizes, rolls, light and blur. `--scenes` a folder
with `images/` and Pascal VOC `annotations/`; `--empty` a folder of pictures without people. Each detector runs alone
and, as `NAME+net`, through the whole path, where the landmark net has a say. Writes `detection.md`, `detection.csv` and
`detection.png` into `--output`.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.engines import make_engine
from aue_crl_core.errors import AueCrlError, ImageError
from aue_crl_core.faces.crop import apply
from aue_crl_core.faces.detection.choice import DetectorName, make_detector
from aue_crl_core.faces.pose import head_pose
from aue_crl_core.media.reading.pixels import IMAGE_SUFFIXES, load_image
from aue_crl_core.types import FaceBox, Image, Points

Finder = Callable[[Image], Sequence[FaceBox]]

CAMERA: Final = (640, 480)
SIZES: Final = (24, 32, 48, 64, 100, 200, 300, 400)
ROLLS: Final = (0, 15, 30, 45, 60, 90, 135, 180)
YAWS: Final = (0, 20, 40, 60, 90)
DARK: Final = 0.08
"""Of the light is left, and a sensor's noise is added."""
BLURS: Final = (1, 2, 4)
"""Standard deviations of a Gaussian, pixels, on 100 px faces."""
SCENE_SIZES: Final = (0, 16, 24, 32, 48, 10_000)


@dataclass(frozen=True)
class Case:
    """An image, and where its faces are."""

    image: Image
    faces: tuple[FaceBox, ...]


@dataclass(frozen=True)
class Row:
    """One figure of one detector."""

    detector: str
    what: str
    value: float
    count: int


@dataclass(frozen=True)
class Photo:
    """A photograph of a face with its 68 points, and a picture to put behind it."""

    image: Image
    points: Points
    behind: Image


def photographs(index: DatasetIndex, split: str, behind: Sequence[Image], most: int) -> list[Photo]:
    """Photographs, evenly taken from the split, with the pictures of `behind` in turn."""
    records = [r for r in index.select(split).records if r.usable and r.points is not None]
    chosen = records[:: max(1, len(records) // most)][:most]
    return [Photo(load_image(index.path(r)), r.points, b) for r, b in zip(chosen, cycle(behind), strict=False)]


def pasted(photo: Photo, side: float, degrees: float = 0.0) -> Case:
    """The photograph in the middle of a camera's image, its face `side` px (extent of the points), rolled."""
    scale, angle = side / float(np.ptp(photo.points, axis=0).max()), np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, np.array(CAMERA) / 2 - turn @ photo.points.mean(axis=0)])
    image = cv2.GaussianBlur(photo.image, (0, 0), 0.5 / scale) if scale < 1 else photo.image  # no aliasing
    whole = np.full(image.shape[:2], 255, np.uint8)
    cover = cv2.warpAffine(whole, matrix, CAMERA)[:, :, None] / 255.0
    scene = cv2.warpAffine(image, matrix, CAMERA, borderMode=cv2.BORDER_REPLICATE) * cover
    scene = scene + cv2.resize(photo.behind, CAMERA, interpolation=cv2.INTER_AREA) * (1 - cover)
    there = apply(matrix, photo.points)
    middle = (there.min(axis=0) + there.max(axis=0)) / 2
    face = FaceBox(middle[0] - side / 2, middle[1] - side / 2, side, side)
    return Case(np.round(scene).astype(np.uint8), (face,))


def dimmed(case: Case) -> Case:
    """In the dark."""
    rng = np.random.default_rng(0)
    dark = case.image * DARK
    noise = rng.normal(0, 1, dark.shape) * np.sqrt(1.5**2 + 0.3 * dark)
    return replace(case, image=np.clip(dark + noise, 0, 255).astype(np.uint8))


def blurred(case: Case, sigma: float) -> Case:
    """Out of focus."""
    return replace(case, image=cv2.GaussianBlur(case.image, (0, 0), sigma))


def scenes(folder: Path, most: int) -> Iterator[Case]:
    """Images with all their faces, from Pascal VOC annotations."""
    paths = sorted(p for p in (folder / "images").iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    for path in paths[:: max(1, len(paths) // most)]:
        annotation = folder / "annotations" / f"{path.stem}.xml"
        if annotation.is_file():
            corners = [
                [float(box.findtext(name, "nan")) for name in ("xmin", "ymin", "xmax", "ymax")]
                for box in ElementTree.parse(annotation).iter("bndbox")
            ]
            yield Case(load_image(path), tuple(FaceBox(x, y, right - x, bottom - y) for x, y, right, bottom in corners))


def pictures(folder: Path, most: int) -> Iterator[Image]:
    """Pictures of a folder, evenly taken."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    for path in paths[:: max(1, len(paths) // most)][:most]:
        try:
            yield load_image(path)
        except ImageError as error:
            print(f"left out: {error}")


def hits(found: Sequence[FaceBox], faces: Sequence[FaceBox]) -> list[bool]:
    """Whether each face has a box of its own: overlap of at least 0.3, or for a box drawn otherwise, its middle within
    0.35 of the face's side and its side within a factor 2.5."""
    free = list(found)
    result = []
    for face in sorted(faces, key=lambda f: -f.w * f.h):
        side = float(np.sqrt(face.w * face.h))

        def fits(box: FaceBox, face: FaceBox = face, side: float = side) -> bool:
            apart = np.hypot(box.x + box.w / 2 - face.x - face.w / 2, box.y + box.h / 2 - face.y - face.h / 2)
            ratio = np.sqrt(box.w * box.h) / max(side, 1e-9)
            return box.iou(face) >= 0.3 or (apart <= 0.35 * side and 0.4 <= ratio <= 2.5)

        match = next((box for box in sorted(free, key=lambda b: -b.iou(face)) if fits(box)), None)
        result.append(match is not None)
        if match is not None:
            free.remove(match)
    return result


def recall(find: Finder, cases: Iterable[Case]) -> tuple[float, int]:
    """Share of the faces that are found, and how many there are."""
    found = [hit for case in cases for hit in hits(find(case.image), case.faces)]
    return (sum(found) / len(found) if found else float("nan")), len(found)


def on_photographs(find: Finder, photos: list[Photo]) -> Iterator[tuple[str, float, int]]:
    """Recall on photographs as they are, by yaw, and pasted."""
    whole = [Case(photo.image, (FaceBox.around(photo.points),)) for photo in photos]
    yield "photographs", *recall(find, whole)
    turned = [abs(np.degrees(head_pose(photo.points).yaw)) for photo in photos]
    for low, high in pairwise(YAWS):
        chosen = [case for case, yaw in zip(whole, turned, strict=True) if low <= yaw < high]
        yield f"yaw {low}-{high}", *recall(find, chosen)
    for side in SIZES:
        yield f"size {side}", *recall(find, (pasted(photo, side) for photo in photos))
    for degrees in ROLLS:
        yield f"roll {degrees}", *recall(find, (pasted(photo, 150, degrees) for photo in photos))
    for side in (60, 100):
        yield f"dark {side}", *recall(find, (dimmed(pasted(photo, side)) for photo in photos))
    for sigma in BLURS:
        yield f"blur {sigma}", *recall(find, (blurred(pasted(photo, 100), sigma) for photo in photos))


def on_scenes(find: Finder, cases: Iterable[Case]) -> Iterator[tuple[str, float, int]]:
    """Recall by the annotated size, and precision: boxes without an annotated face count against it."""
    by_size: dict[int, list[bool]] = defaultdict(list)
    right = boxes = 0
    for case in cases:
        found = find(case.image)
        faces = sorted(case.faces, key=lambda f: -f.w * f.h)
        seen = hits(found, faces)
        for face, hit in zip(faces, seen, strict=True):
            by_size[int(np.searchsorted(SCENE_SIZES, np.sqrt(face.w * face.h), side="right")) - 1].append(hit)
        right, boxes = right + sum(seen), boxes + len(found)
    for number, (low, high) in enumerate(pairwise(SCENE_SIZES)):
        row = by_size[number]
        name = f"scenes {low}-{high}" if high < SCENE_SIZES[-1] else f"scenes {low}+"
        yield name, (sum(row) / len(row) if row else float("nan")), len(row)
    large = [hit for number, row in by_size.items() if SCENE_SIZES[number] >= 24 for hit in row]
    yield "scenes 24+", sum(large) / max(len(large), 1), len(large)
    yield "precision", right / max(boxes, 1), boxes


def milliseconds(find: Finder, image: Image, rounds: int = 30) -> float:
    """Median time of one call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        find(image)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def finders(names: Sequence[DetectorName], weights: str) -> dict[str, Finder]:
    """Every detector that works here, alone and through the whole path."""
    found: dict[str, Finder] = {}
    engine = make_engine(weights, threads=1)
    for name in names:
        try:
            detector = make_detector(name)
        except AueCrlError as error:
            print(f"{name}: {error}")
            continue
        analyzer = FaceAnalyzer(engine, detector, AnalyzerConfig(max_faces=64))
        found[name] = detector
        found[f"{name}+net"] = lambda image, analyzer=analyzer: [face.box for face in analyzer.find([image])[0]]
    return found


def draw(rows: list[Row], path: Path) -> None:
    """Recall over size, roll and yaw, light and blur, a line a detector."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = ("size", "roll", "yaw", "scenes", "dark", "blur")
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), sharey=True, layout="constrained")
    for group, axis in zip(groups, axes.ravel(), strict=True):
        for detector in dict.fromkeys(row.detector for row in rows):
            chosen = [r for r in rows if r.detector == detector and r.what.startswith(f"{group} ") and r.count]
            ticks = [r.what.removeprefix(f"{group} ") for r in chosen]
            style = "-" if detector.endswith("+net") else "--"
            axis.plot(ticks, [100 * r.value for r in chosen], style, marker="o", markersize=3, label=detector)
        axis.set_title({"size": "face size, px", "roll": "roll, degrees", "yaw": "yaw, degrees"}.get(group, group))
        axis.set_ylim(0, 102)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("found, %")
    axes[1, 0].set_ylabel("found, %")
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def table(rows: list[Row]) -> str:
    """Markdown: a line a figure, a column a detector."""
    detectors = list(dict.fromkeys(row.detector for row in rows))
    lines = [f"| | n | {' | '.join(detectors)} |", f"|---|---:|{'---:|' * len(detectors)}"]
    for what in dict.fromkeys(row.what for row in rows):
        cells = {row.detector: row for row in rows if row.what == what}
        plain = what in ("false faces an image", "ms")
        shown = [f"{cells[d].value:.3g}" if plain else f"{cells[d].value:.1%}" for d in detectors]
        count = "" if what == "ms" else str(next(iter(cells.values())).count)
        lines.append(f"| {what} | {count} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--empty", type=Path)
    parser.add_argument("--most", type=int, default=1000, help="at most so many pictures of each kind")
    parser.add_argument("--detectors", nargs="+", default=["yunet", "own", "cascade", "mediapipe"])
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--output", type=Path, required=True)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    rows: list[Row] = []
    empty = list(pictures(chosen.empty, chosen.most)) if chosen.empty else []
    behind = empty or [np.full((*CAMERA[::-1], 3), 110, np.uint8)]
    photos = photographs(DatasetIndex.read(chosen.photos), chosen.split, behind, chosen.most) if chosen.photos else []
    cases = list(scenes(chosen.scenes, chosen.most)) if chosen.scenes else []
    for name, find in finders(chosen.detectors, chosen.weights).items():
        figures: list[tuple[str, float, int]] = []
        if photos:
            figures += on_photographs(find, photos)
        if cases:
            figures += on_scenes(find, cases)
        if empty:
            counts = [len(find(image)) for image in empty]
            figures.append(("false faces an image", sum(counts) / len(counts), len(counts)))
        image = pasted(photos[0], 150).image if photos else np.zeros((*CAMERA[::-1], 3), np.uint8)
        figures.append(("ms", milliseconds(find, image), 1))
        rows += [Row(name, *figure) for figure in figures]
        print(f"{name} done", flush=True)
    chosen.output.mkdir(parents=True, exist_ok=True)
    with (chosen.output / "detection.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("detector", "what", "value", "count"))
        writer.writerows((r.detector, r.what, r.value, r.count) for r in rows)
    text = table(rows)
    (chosen.output / "detection.md").write_text(text)
    draw(rows, chosen.output / "detection.png")
    print(text)


if __name__ == "__main__":
    main()
