"""The same face, the same answer: found, right, and as before, when a picture is changed.

    python benchmarks/robustness.py --data raf.parquet --split valid --output robustness

Every labelled photograph of the split goes through the whole path as it is and in each change: light, colour, noise,
compression, size, blur, borders, mirroring, roll, covered eyes or mouth. A row a change: faces found, labels right (a
face that is not found is wrong), labels as in the untouched picture, the share called `ok`, labels right among those,
and the mean difference of the AU probabilities. Writes `robustness.md` and `robustness.png` into `--output`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.facs import ACTION_UNITS
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FacePrediction, Image, Points

Change = Callable[[Image, Points], Image]
"""(image, its face's 68 points): the changed image."""


def _gamma(power: float) -> Change:
    table = np.round(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return lambda image, _: cv2.LUT(image, table)


def _jpeg(quality: int) -> Change:
    def change(image: Image, _: Points) -> Image:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)

    return change


def _scaled(image: Image, scale: float) -> Image:
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way), dtype=np.uint8)


def _times(scale: float) -> Change:
    return lambda image, _: _scaled(image, scale)


def _side(points: Points) -> float:
    return float(np.ptp(points, axis=0).max())


def _small(side: float) -> Change:
    return lambda image, points: _scaled(image, min(1.0, side / _side(points)))


def _blur(share: float) -> Change:
    return lambda image, points: cv2.GaussianBlur(image, (0, 0), share * _side(points))


def _dark(image: Image, _: Points) -> Image:
    left = image * 0.08
    noise = np.random.default_rng(0).normal(0, 1, left.shape) * np.sqrt(1.5**2 + 0.3 * left)
    return np.clip(left + noise, 0, 255).astype(np.uint8)


def _grey(image: Image, _: Points) -> Image:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _border(image: Image, _: Points) -> Image:
    return cv2.copyMakeBorder(image, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(128, 128, 128))


def _rolled(degrees: float) -> Change:
    def change(image: Image, points: Points) -> Image:
        x, y = points.mean(axis=0)
        turn = cv2.getRotationMatrix2D((float(x), float(y)), degrees, 1.0)
        size = (image.shape[1], image.shape[0])
        return cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    return change


def _covered(first: int, last: int) -> Change:
    """A grey bar over these points, a tenth of the face wider on every side."""

    def change(image: Image, points: Points) -> Image:
        part, more = points[first:last], 0.1 * _side(points)
        (x0, y0), (x1, y1) = (part.min(axis=0) - more).astype(int), (part.max(axis=0) + more).astype(int)
        covered = image.copy()
        cv2.rectangle(covered, (int(x0), int(y0)), (int(x1), int(y1)), (90, 90, 90), thickness=-1)
        return covered

    return change


def _in_a_mask(image: Image, points: Points) -> Image:
    """White cloth from the bridge of the nose to the jaw."""
    masked = image.copy()
    cv2.fillPoly(masked, [np.round(points[[*range(2, 15), 28]]).astype(np.int32)], (235, 238, 240), cv2.LINE_AA)
    return masked


def _in_dark_glasses(image: Image, points: Points) -> Image:
    dark = image.copy()
    for eye in (points[36:42], points[42:48]):
        x, y = np.round(eye.mean(axis=0)).astype(int).tolist()
        width = float(np.ptp(eye[:, 0]))
        cv2.ellipse(dark, (x, y), (round(0.9 * width), round(0.7 * width)), 0, 0, 360, (25, 25, 30), -1, cv2.LINE_AA)
    return dark


CHANGES: Final[dict[str, Change]] = {
    "untouched": lambda image, _: image,
    "mirrored": lambda image, _: np.ascontiguousarray(image[:, ::-1]),
    "grey": _grey,
    "border of 60 px": _border,
    "gamma 0.5": _gamma(0.5),
    "gamma 2": _gamma(2.0),
    "dark (8 % of the light)": _dark,
    "JPEG quality 30": _jpeg(30),
    "JPEG quality 10": _jpeg(10),
    "1.5 times as large": _times(1.5),
    "3 times as large": _times(3.0),
    "face of 48 px": _small(48),
    "face of 32 px": _small(32),
    "face of 24 px": _small(24),
    "blur, 2 % of the face": _blur(0.02),
    "blur, 4 % of the face": _blur(0.04),
    "rolled by 30 degrees": _rolled(30),
    "rolled by 60 degrees": _rolled(60),
    "rolled by 90 degrees": _rolled(90),
    "eyes covered": _covered(36, 48),
    "mouth covered": _covered(48, 68),
    "in a mask": _in_a_mask,
    "in dark glasses": _in_dark_glasses,
}


@dataclass(frozen=True)
class Outcome:
    """One photograph under one change, beside the untouched one."""

    found: bool
    right: bool
    same: bool
    ok: bool
    units: float
    """Mean absolute difference of the AU probabilities; NaN where a face is missing."""


@dataclass(frozen=True)
class Row:
    """A change over all photographs; shares of 0 to 1."""

    change: str
    found: float
    right: float
    same: float
    ok: float
    ok_right: float
    """Of those that are called `ok`; NaN where none is."""
    units: float


def largest(faces: Sequence[FacePrediction]) -> FacePrediction | None:
    """The face of a photograph of one person."""
    return max(faces, key=lambda f: f.box.w * f.box.h, default=None)


def _units(face: FacePrediction) -> NDArray[np.float64]:
    return np.array([face.action_units[unit] for unit in ACTION_UNITS])


def outcome(before: FacePrediction | None, after: FacePrediction | None, label: str) -> Outcome:
    """What became of a face; where both are missing the answer is the same."""
    if before is None or after is None:
        right = after is not None and after.expression == label
        return Outcome(after is not None, right, before is after, after is not None and after.state == "ok", np.nan)
    return Outcome(
        found=True,
        right=after.expression == label,
        same=after.expression == before.expression,
        ok=after.state == "ok",
        units=float(np.abs(_units(after) - _units(before)).mean()),
    )


def measure(analyzer: FaceAnalyzer, index: DatasetIndex) -> tuple[list[Row], int]:
    """A row a change, and the number of photographs."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in CHANGES}
    records = [r for r in index.records if r.learnable and r.points is not None]
    for record in records:
        image = load_image(index.path(record))
        before = largest(analyzer(image))
        for name, change in CHANGES.items():
            after = before if name == "untouched" else largest(analyzer(change(image, record.points)))
            outcomes[name].append(outcome(before, after, index.classes[record.label]))
    return [_row(name, some) for name, some in outcomes.items()], len(records)


def _row(name: str, outcomes: Sequence[Outcome]) -> Row:
    found, right, same, ok = (
        float(np.mean([getattr(o, n) for o in outcomes])) for n in ("found", "right", "same", "ok")
    )
    known = [o.units for o in outcomes if np.isfinite(o.units)]
    trusted = [o.right for o in outcomes if o.ok]
    ok_right = float(np.mean(trusted)) if trusted else np.nan
    return Row(name, found, right, same, ok, ok_right, float(np.mean(known)) if known else np.nan)


def text(rows: Sequence[Row], count: int) -> str:
    """Markdown."""
    lines = [
        f"{count} photographs.",
        "",
        "| change | found | right | same label | called ok | of those right | AU difference |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        shares = " | ".join(
            "" if np.isnan(share) else f"{share:.1%}" for share in (r.found, r.right, r.same, r.ok, r.ok_right)
        )
        lines.append(f"| {r.change} | {shares} | {r.units:.3f} |")
    return "\n".join(lines) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Found, same label and right, a line of dots a change."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.32 * len(rows) + 1.4), layout="constrained")
    places = np.arange(len(rows))[::-1]
    for place in places:
        axis.axhline(place, color="0.92", linewidth=8, zorder=0)
    for values, name, mark in (
        ("found", "face found", "|"),
        ("same", "same label", "o"),
        ("right", "label right", "x"),
    ):
        axis.plot([100 * getattr(r, values) for r in rows], places, mark, markersize=9, markeredgewidth=2, label=name)
    axis.set_yticks(places, [r.change for r in rows])
    axis.set_xlabel("% of the photographs")
    axis.set_xlim(0, 101)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--most", type=int, default=1_000_000, help="take so many photographs, evenly")
    parser.add_argument("--output", type=Path, required=True)
    chosen: Any = parser.parse_args()
    cv2.setNumThreads(1)
    index = DatasetIndex.read(chosen.data).select(chosen.split)
    every = max(1, len(index.records) // chosen.most)
    part = DatasetIndex(index.layout, index.vocabulary, index.root, index.records[::every])
    rows, count = measure(FaceAnalyzer.load(chosen.weights, threads=1), part)
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "robustness.md").write_text(text(rows, count))
    draw(rows, chosen.output / "robustness.png")
    print(text(rows, count))


if __name__ == "__main__":
    main()
