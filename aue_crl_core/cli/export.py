"""`aue-crl export`: a checkpoint becomes ONNX files that need no torch."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.text import Text

from aue_crl_core.cli.console import out
from aue_crl_core.config import require
from aue_crl_core.errors import training_imports

if TYPE_CHECKING:
    from aue_crl_core.checkpoint.quantise import Agreement
    from aue_crl_core.types import Image

_CROPS: Final = 5

ExportPrecision = Literal["fp32", "fp16", "int8"]


def command(
    weights: Annotated[str, typer.Option(help="A shipped name, a .safetensors file, or a training run's directory.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The model to write: .onnx (its landmark net goes beside), or .safetensors for torch.",
        ),
    ],
    landmarks: Annotated[
        Path | None, typer.Option(metavar="CHECKPOINT", help="Take the landmark net of this checkpoint instead.")
    ] = None,
    precision: Annotated[
        ExportPrecision,
        typer.Option(
            help="fp16 stores the weights in half the space, at the same speed; int8 writes MODEL.int8.onnx too, which "
            "is faster where the processor multiplies eight-bit integers (VNNI, AMX)."
        ),
    ] = "fp32",
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="INDEX", help="With int8: the faces that its ranges are taken from, and that it is compared on."
        ),
    ] = None,
    slim: Annotated[
        Path | None,
        typer.Option(
            metavar="INDEX",
            help="Narrow a mobilenet_v2 by what it can do without on these faces of train: a sixth faster, a quarter "
            "smaller, the same answers.",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="With int8 and --slim: compared on this split of INDEX; what is fitted is on train.")
    ] = "valid",
) -> None:
    """Write MODEL.onnx and MODEL.landmarks.onnx, then compare them with torch; or one checkpoint, MODEL.safetensors."""
    with training_imports("export"):
        from aue_crl_core.checkpoint import combine
    from aue_crl_core.engines import find_weights

    require(output.suffix in (".onnx", ".safetensors"), "--output", "end in .onnx or .safetensors", str(output))
    whole = precision == "int8"
    require(whole == (calibrate is not None), "--calibrate", "be given with --precision int8 and only then", calibrate)
    require(not whole or output.suffix == ".onnx", "--output", "end in .onnx with --precision int8", str(output))
    half = precision == "fp16"
    checkpoint = find_weights(weights, "torch")
    with tempfile.TemporaryDirectory() as folder:
        if slim is not None:
            checkpoint = _slimmed(checkpoint, slim, split, Path(folder) / "slim.safetensors")
        if output.suffix == ".safetensors":
            combine(checkpoint, landmarks, output, half)
            out().print(Text(f"{output}: {output.stat().st_size / 1e6:.1f} MB"))
            return
        if landmarks is not None:
            combined = Path(folder) / "combined.safetensors"
            combine(checkpoint, landmarks, combined)
            checkpoint = combined
        _export(checkpoint, output, half)
    if calibrate is not None:
        _quantise(output, calibrate, split)


def _export(checkpoint: Path, output: Path, half: bool) -> None:
    from aue_crl_core.checkpoint.export import export_onnx, largest_difference

    console = out()
    for path in export_onnx(checkpoint, output, half):
        console.print(Text(f"{path}: {path.stat().st_size / 1e6:.1f} MB"))
    images, what = check_images()
    difference = largest_difference(checkpoint, output, images)
    rounding = " (the rounding to float16 included)" if half else ""
    console.print(f"largest difference from torch on {len(images)} {what}: {difference:.1e}{rounding}")


def _slimmed(checkpoint: Path, faces: Path, split: str, narrowed: Path) -> Path:
    import torch

    from aue_crl_core.checkpoint import load_network, save_network
    from aue_crl_core.checkpoint.quantise import agreement, face_batches
    from aue_crl_core.checkpoint.slim import SLIM_FACES, slim
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.engines.torch import TorchEngine
    from aue_crl_core.training.loop import normalise

    network, info = load_network(checkpoint)
    index, preprocessing = DatasetIndex.read(faces), info.config.preprocessing
    seen = face_batches(index.select("train"), preprocessing, SLIM_FACES)
    crops = (torch.from_numpy(feed["images"]).permute(0, 3, 1, 2) for feed in seen)
    narrow = slim(network, (normalise(images, preprocessing) for images in crops))
    prior = None if info.prior is None else torch.tensor(info.prior)
    save_network(narrowed, narrow, dataclasses.replace(info, config=narrow.config), prior)
    engines = TorchEngine(checkpoint), TorchEngine(narrowed)
    same = agreement(engines, face_batches(index.select(split), preprocessing))
    _say("narrow", "wide", same, split)
    return narrowed


def _say(what: str, other: str, same: Agreement, split: str) -> None:
    out().print(
        f"{what} beside {other} on {same.faces} faces of {split}: same label {same.same_label:.1%}; probabilities "
        f"apart by {same.mean_difference:.4f} on average, {same.largest_difference:.2f} at most",
        soft_wrap=True,
    )


def _quantise(output: Path, calibrate: Path, split: str) -> None:
    from aue_crl_core.checkpoint.quantise import CALIBRATION_FACES, agreement, face_batches, quantise
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.engines.onnx import OnnxEngine

    index = DatasetIndex.read(calibrate)
    compared, preprocessing = index.select(split), OnnxEngine(output).config.preprocessing
    path = quantise(output, list(face_batches(index.select("train"), preprocessing, CALIBRATION_FACES)))
    console = out()
    console.print(Text(f"{path}: {path.stat().st_size / 1e6:.1f} MB"))
    engines = OnnxEngine(output), OnnxEngine(output, precision="int8")
    _say("int8", "fp32", agreement(engines, face_batches(compared, preprocessing)), split)


def check_images() -> tuple[list[Image], str]:
    """Images to compare the engines on: crops of the portrait that comes with matplotlib, else noise."""
    import numpy as np

    rng = np.random.default_rng(0)
    try:
        from matplotlib import get_data_path
    except ImportError:
        return [rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(_CROPS)], "random images"
    from aue_crl_core.media.reading.pixels import load_image

    portrait = load_image(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg")
    corners = [(int(x), int(y)) for x, y in rng.integers((130, 100), (190, 160), (_CROPS, 2))]
    return [portrait[y : y + 220, x : x + 220] for x, y in corners], "crops of a portrait"
