"""`aue-crl calibrate`: weights that say of the faces at hand how sure they may be, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from aue_crl_core.cli.console import out
from aue_crl_core.config import require
from aue_crl_core.errors import ConfigError, training_imports
from aue_crl_core.whole_file import whole_file


def command(
    data: Annotated[
        list[Path], typer.Option("--data", help="An index that prepare wrote; may be given several times.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The checkpoint to write: .safetensors.")
    ],
    weights: Annotated[
        str, typer.Option(help="A shipped name, a .safetensors file, or a training run's directory.")
    ] = "edge",
    split: Annotated[
        str, typer.Option(help="The faces to calibrate on: not those that the weights learned.")
    ] = "valid",
    favour_rare: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="0: every expression as often as it comes in train (else in this split); 1: as if all came equally "
            "often. What --stage fusion and joint do is the config's logit_adjustment.",
        ),
    ] = 0.25,
    au_codes: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Action units as people see them in images of train and valid: columns image, AU1, AU2, ..., cells 0, "
            "1, undecided between them, or empty. AUs with 30 faces and more of either kind are fitted to them.",
        ),
    ] = None,
    expressions: Annotated[
        bool, typer.Option(help="--no-expressions: leave the expressions, and how sure they are, as they are.")
    ] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Fit one temperature and a bias per expression to labelled faces, as training does at its end, and write the
    weights with them; then `aue-crl export` them.

    Where the indices have what a face mesh shows, the intensities of action units are fitted to it, on split train."""
    require(output.suffix == ".safetensors", "--output", "end in .safetensors", str(output))
    require(0 <= favour_rare <= 1, "--favour-rare", "be in [0, 1]", favour_rare)
    with training_imports("calibration"):
        from aue_crl_core.checkpoint import combine, read_info
        from aue_crl_core.data.dataset import FaceDataset
        from aue_crl_core.training.batches.loading import log_frequency, make_loader
        from aue_crl_core.training.config import TrainConfig
        from aue_crl_core.training.weights.calibration import calibrate
        from aue_crl_core.training.weights.intensity import fit_intensities
        from aue_crl_core.training.weights.unit_calibration import LEAST_CODED, calibrate_units
    from aue_crl_core.data.au_labels import read_codes
    from aue_crl_core.data.index import DatasetIndex
    from aue_crl_core.engines import find_weights

    codes = read_codes(au_codes) if au_codes else {}
    indices = [DatasetIndex.read(path) for path in data]
    checkpoint = find_weights(weights, "torch")
    config = read_info(checkpoint).config
    for path, index in zip(data, indices, strict=True):
        if index.vocabulary != config.vocabulary:
            raise ConfigError(f"{path} has the {index.vocabulary} vocabulary, {checkpoint} has {config.vocabulary}")
    faces = FaceDataset([index.select(split) for index in indices], config.preprocessing)
    known = [index.select("train" if "train" in index.splits() else split) for index in indices]
    frequency = log_frequency(FaceDataset(known, config.preprocessing), len(config.expressions))
    train_config = TrainConfig(vocabulary=config.vocabulary)
    loader = make_loader(faces, train_config, device, None)
    with whole_file(output) as part:
        combine(checkpoint, None, part)
        done = calibrate(part, loader, device, favour_rare * frequency) if expressions else None
        fitted = fit_intensities(part, indices, train_config, device)
        units = calibrate_units(part, indices, codes, train_config, device) if codes else {}
    console = out()
    console.print(Text(f"{output}: {output.stat().st_size / 1e6:.1f} MB"))
    if done is not None:
        biases = ", ".join(f"{n} {b:+.2f}" for n, b in zip(config.expressions, done.fused.bias.tolist(), strict=True))
        console.print(f"temperature {done.fused.temperature:.2f}; {biases}", soft_wrap=True)
        console.print(
            f"right on {done.faces} faces of {split}: {done.before['accuracy']:.1%} before, "
            f"{done.after['accuracy']:.1%} now; mean over the expressions: {done.before['mean_class_accuracy']:.1%} "
            f"before, {done.after['mean_class_accuracy']:.1%} now (fitted on these very faces)",
            soft_wrap=True,
        )
    for unit, fit in units.items():
        console.print(
            f"AU{unit}, coded as there in {fit.seen:g} of {fit.faces} faces: evidence x {fit.evidence:.2f}, prior x "
            f"{fit.prior:.2f}, {fit.offset:+.2f}",
            soft_wrap=True,
        )
    if au_codes and not units:
        console.print(
            f"no action unit of {au_codes} has {LEAST_CODED} faces with it and {LEAST_CODED} without: left as is"
        )
    if fitted is not None:
        agree = ", ".join(f"AU{unit} {value:.2f}" for unit, value in fitted.concordance.items())
        told = f"intensities, fitted to the face mesh on {fitted.faces} faces of train; agreement with it on valid: "
        console.print(told + agree, soft_wrap=True)
