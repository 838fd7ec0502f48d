"""The engines and precisions beside each other: how long a face takes, and whether the answer stays.

    python benchmarks/engines.py --data INDEX.parquet [--split valid] [--weights edge] [--threads 1] [--rounds 60]

INDEX is one that `prepare` wrote. Prints, for every engine that is installed, milliseconds a face for one and for eight
at a time (median of the rounds; in each round the engines take turns, so that a busy machine slows all) and the median
ratio to onnxruntime in float32; then over all usable faces of the split how many get the same expression from it as
from onnxruntime, and how far its action units are off: mean, mean of the worst unit, and most.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.engines import Engine, EngineName, EngineOutput, Precision, make_engine
from aue_crl_core.errors import AueCrlError
from aue_crl_core.faces.crop import apply, cut, inverse, map_from_points
from aue_crl_core.media.reading.pixels import load_image

WAYS: Final[tuple[tuple[EngineName, Precision], ...]] = (
    ("onnx", "fp32"),
    ("onnx", "int8"),
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)
_AT_ONCE: Final = 32

Faces = tuple[NDArray[np.uint8], NDArray[np.float32]]


def batches(index: DatasetIndex, engine: Engine) -> Iterator[Faces]:
    """Crops and the points in them of the usable faces."""
    preprocessing, crops, points = engine.config.preprocessing, [], []
    for record in index.records:
        if not record.usable or record.points is None:
            continue
        to_image = map_from_points(record.points, preprocessing)
        crops.append(cut(load_image(index.path(record)), to_image, preprocessing.input_size))
        points.append(apply(inverse(to_image), record.points))
        if len(crops) == _AT_ONCE:
            yield np.stack(crops), np.stack(points).astype(np.float32)
            crops, points = [], []
    if crops:
        yield np.stack(crops), np.stack(points).astype(np.float32)


def in_turns(engines: dict[str, Engine], faces: Faces, rounds: int) -> dict[str, list[float]]:
    """Seconds a face of each engine, round by round; each is called five times in a round."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(rounds + 3):
        for name, engine in engines.items():
            began = time.perf_counter()
            for _ in range(5):
                engine.predict(*faces)
            if turn >= 3:
                taken[name].append((time.perf_counter() - began) / 5 / len(faces[0]))
    return taken


def agreement(engine: Engine, wanted: list[EngineOutput], faces: list[Faces]) -> str:
    """Of all faces, as the module says."""
    given = [engine.predict(*batch) for batch in faces]
    same = [o.probabilities.argmax(1) == w.probabilities.argmax(1) for o, w in zip(given, wanted, strict=True)]
    off = np.concatenate([np.abs(o.action_units - w.action_units) for o, w in zip(given, wanted, strict=True)])
    return f"same {np.concatenate(same).mean():.2%}, AUs {off.mean():.4f}, {off.mean(0).max():.4f}, {off.max():.3f}"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    engines: dict[str, Engine] = {}
    for engine, precision in WAYS:
        try:
            made = make_engine(options.weights, engine, threads=options.threads, precision=precision)
        except AueCrlError as error:
            print(f"{engine} in {precision} left out: {error}")
        else:
            engines[f"{engine} {precision}"] = made
    first = engines["onnx fp32"]
    faces = list(batches(DatasetIndex.read(options.data).select(options.split), first))
    for count in (1, 8):
        taken = in_turns(engines, (faces[0][0][:count], faces[0][1][:count]), options.rounds)
        for name, times in taken.items():
            ratios = [one / other for one, other in zip(taken["onnx fp32"], times, strict=True)]
            each = 1e3 * statistics.median(times)
            print(f"{count} at a time  {name:14} {each:6.2f} ms a face   {statistics.median(ratios):5.2f} x")
    wanted = [first.predict(*batch) for batch in faces]
    print(f"{sum(len(crops) for crops, _ in faces)} faces")
    for name, engine in engines.items():
        print(f"{name:14} {agreement(engine, wanted, faces)}", flush=True)


if __name__ == "__main__":
    main()
