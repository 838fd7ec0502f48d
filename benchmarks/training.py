"""How fast stages train, beside the authors' code on the same machine.

    python benchmarks/training.py --upstream PATH [--device cuda] [--batch 64] [--data INDEX.parquet]

PATH is a checkout of HCPLab-SYSU/AUE-CRL; its `loss.py` and `model.py` are imported as they are. They were written for
one GPU: where they do not run (on a CPU they must not call `.cuda()`), the script says why; give it a copy that does.
Without --upstream only our figures are printed. Ours and theirs take turns, so that a busy machine slows both; a ratio
is the median of those of the rounds. Images are random and on the device: decoding is measured apart, with --data.

Sections (--only): pairwise (the loss alone, batch 64), forward (stage AU without gradients), stages (whole training
steps; on a GPU also the share of its measured bf16 matrix rate), cache (an epoch of stage fusion from cached features),
options (what channels_last, bf16, a fused optimiser and, with --compile inductor, compiling give here), data (share of
the time that the trainer waits for pictures), kept (epochs of stages AU and Fuse on real images, with a cache of frozen
features beside without, and its size).
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from authors import Upstream, guarded, import_upstream, their_network, their_output, their_step
from batch import Batch
from timing import Step, compare, compare_sums, seconds
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from aue_crl_core.data.dataset import Sample
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.losses import pairwise_dependency_loss
from aue_crl_core.networks.build import build_network
from aue_crl_core.training.batches.feature_cache import BLOCK, CachePlan, FeatureCache, FeatureViews
from aue_crl_core.training.batches.features import Maker, cached_sets
from aue_crl_core.training.batches.loading import datasets, make_loader, with_validation
from aue_crl_core.training.config import CACHEABLE, StageName, TrainConfig
from aue_crl_core.training.loop import (
    Learner,
    Waiting,
    autocast,
    batch_inputs,
    resolve_precision,
    train_one_epoch,
)
from aue_crl_core.training.memory import keep_freed_memory
from aue_crl_core.training.stages import STAGES, Setting
from aue_crl_core.training.stages.fusion import fusion_input_shapes

SECTIONS: Final = ("pairwise", "forward", "stages", "cache", "options", "data", "kept")
PAIRWISE_BATCH: Final = 64
EXPERIMENTS: Final[dict[StageName, str]] = {"expression": "EM", "action_unit": "AU", "fusion": "Fuse"}
"""Our stages and their names for them."""
EPOCHS: Final = 40
"""Of the paper's stages."""


def our_config(model: str, precision: str, compiler: str, batch: int) -> TrainConfig:
    """The paper's optimiser, no averaging of weights."""
    settings = {"model": model, "optimizer": "sgd", "ema": 0.0, "precision": precision, "compile": compiler}
    return TrainConfig(**settings, batch_size=batch)  # type: ignore[arg-type]


def our_epoch(name: StageName, config: TrainConfig, device: str, loader: Callable[[], Iterable], steps: int) -> Step:
    """An epoch of `steps` steps by our trainer."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    network = build_network(config.network()).to(device, memory_format=layout)
    if config.compile != "none":
        for part in (network.backbone, network.expression_branch, network.action_unit_branch, network.fusion):
            part.compile(backend=config.compile)
    setting = Setting(config, LearnablePrior("basic").to(device), torch.zeros(7, device=device))
    stage = STAGES[name]
    weights, prior = stage.prepare(network, setting.prior, training=True)
    fused = {"fused": True} if config.fused_optimizer else {}
    if config.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(weights + prior, lr=1e-4, momentum=0.9, **fused)
    else:
        optimizer = torch.optim.AdamW(weights + prior, lr=1e-4, **fused)

    learner = Learner(network, stage, setting, optimizer, device)

    def epoch() -> None:
        train_one_epoch(learner, loader(), steps)

    return epoch


def pairwise(upstream: Upstream | None, device: str, rounds: int) -> None:
    """The pairwise loss, forward and backward."""
    probabilities = torch.rand(PAIRWISE_BATCH, 17, generator=torch.Generator().manual_seed(0)).to(device)

    def step(loss: Callable[[Tensor], Tensor]) -> Step:
        def run() -> None:
            leaf = probabilities.clone().requires_grad_()
            loss(leaf).sum().backward()

        return run

    theirs = None
    if upstream:
        their_loss = upstream.loss.Expression_Independent_AU_Loss()
        theirs_at = guarded("pairwise loss", lambda: their_loss(probabilities, None))
        difference = float((theirs_at - pairwise_dependency_loss(probabilities)).abs())
        print(f"pairwise loss, batch {PAIRWISE_BATCH}: |ours - theirs| = {difference:.1e}")

        def theirs() -> Step:
            return step(lambda p: their_loss(p, None))

    title = "pairwise loss, forward and backward"
    compare(title, PAIRWISE_BATCH, theirs, lambda: step(pairwise_dependency_loss), device, rounds)


def forward(upstream: Upstream | None, config: TrainConfig, batch: Batch, device: str, rounds: int) -> None:
    """Stage AU without gradients; ours in its precision."""

    def theirs() -> Step:
        net = their_network(upstream, device).eval()
        return torch.no_grad()(lambda: their_output(net, "AU", batch))

    def ours() -> Step:
        net = build_network(config.network()).eval().to(device, memory_format=torch.channels_last)

        def run() -> None:
            with autocast(device, config.precision):
                inputs, _ = batch_inputs(net, STAGES["action_unit"], config, batch.sample, device)
                net.action_unit_branch(inputs[:4], inputs[4])

        return torch.no_grad()(run)

    size = len(batch.labels)
    title = f"stage AU, forward, batch {size}, {resolve_precision(device, config.precision)}"
    compare(title, size, theirs if upstream else None, ours, device, rounds)


def stages(upstream: Upstream | None, config: TrainConfig, batch: Batch, device: str, rounds: int) -> None:
    """Whole training steps, and on a GPU the share of its matrix rate."""
    size = len(batch.labels)
    rate = matrix_rate(device) if device.startswith("cuda") else None
    precision = resolve_precision(device, config.precision)
    for name, experiment in EXPERIMENTS.items():

        def ours(name: StageName = name, config: TrainConfig = config) -> Step:
            return our_epoch(name, config, device, lambda: [batch.sample], 1)

        def theirs(experiment: str = experiment) -> Step:
            return their_step(upstream, experiment, batch, device)

        title = f"stage {experiment}, step, batch {size}, {precision}"
        taken = compare(title, size, theirs if upstream else None, ours, device, rounds)
        if rate:
            step = ours(config=dataclasses.replace(config, compile="none"))
            with FlopCounterMode(display=False) as counter:
                step()
            achieved = counter.get_total_flops() / size / taken
            print(f"{'':42} {achieved / 1e12:.1f} of {rate / 1e12:.1f} TFLOP/s (bf16 matrices): {achieved / rate:.1%}")


def matrix_rate(device: str, side: int = 8192) -> float:
    """Floating-point operations a second of a bf16 matrix product."""
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    return 2 * side**3 / seconds(lambda: torch.mm(a, a), device)


def cache(upstream: Upstream | None, config: TrainConfig, batch: Batch, device: str, rounds: int) -> None:
    """An epoch of stage fusion from cached features, beside their step, and beside ours without the cache."""
    batches, size = 16, len(batch.labels)
    full = dataclasses.replace(config, batch_size=64)
    count = full.batch_size * batches
    shapes = fusion_input_shapes(config.network())
    width = sum(int(np.prod(shape)) for shape in shapes)
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureCache(Path(folder), CachePlan("fusion-train", 1, count, width, "float16", {}))
        rng = np.random.default_rng(0)
        for block in store.missing(0):
            store.write(0, block, rng.random((min(BLOCK, count - block * BLOCK), width), dtype=np.float32))
        views = FeatureViews(store, shapes, torch.eye(7)[torch.arange(count) % 7], lambda view: None)

        def cached() -> Step:
            return our_epoch("fusion", full, device, lambda: make_loader(views, full, device, 0), batches)

        def uncached() -> Step:
            return our_epoch("fusion", config, device, lambda: [batch.sample], 1)

        def theirs() -> Step:
            return their_step(upstream, "Fuse", batch, device)

        def filling() -> Step:
            net = build_network(config.network()).eval().to(device, memory_format=torch.channels_last)

            def run() -> None:
                with autocast(device, config.precision):
                    batch_inputs(net, STAGES["fusion"], config, batch.sample, device)

            return torch.inference_mode()(run)

        title = "stage Fuse, epoch from the cache"
        if upstream:
            compare(title, count, theirs, cached, device, rounds, other_images=size)
        compare(title, count, uncached, cached, device, rounds, "uncached", size)
        title = f"stage Fuse, {EPOCHS} epochs, {full.cache_views} views filled"
        share = full.cache_views / EPOCHS
        compare_sums(title, [(filling, share / size), (cached, 1 / count)], theirs if upstream else None, size, device)


def few_images(path: Path, images: int) -> DatasetIndex:
    """An index with so many images to train on, and as many at most to validate."""
    index = with_validation(DatasetIndex.read(path), TrainConfig())
    records = [
        record
        for split in ("train", "valid")
        for record in [r for r in index.select(split).records if r.learnable][:images]
    ]
    return dataclasses.replace(index, records=tuple(records))


def kept(path: Path, model: str, device: str, images: int, rounds: int) -> None:
    """Epochs of the stages that can be cached on real images, from the pictures and from the cache; its bytes."""
    few = few_images(path, images)
    for name in CACHEABLE:
        config = TrainConfig(model=model, cache_views=1, cache_stages=CACHEABLE)  # type: ignore[arg-type]
        sets = datasets(name, build_network(config.network()), [few], config)
        count = len(sets[0]) // config.batch_size * config.batch_size
        maker = Maker(STAGES[name], build_network(config.network()).to(device), device, config)
        with tempfile.TemporaryDirectory() as folder:
            views, _ = cached_sets(Path(folder), maker, sets[0], sets[1])
            began = time.perf_counter()
            views.set_epoch(0)
            filled = len(views) / (time.perf_counter() - began)
            size = sum(file.stat().st_size for file in Path(folder).glob(f"{name}-train-*/features.npy")) / len(views)
            fresh, cached = (
                lambda source=source, name=name, config=config, steps=count // config.batch_size: our_epoch(
                    name, config, device, lambda: make_loader(source, config, device, 0), steps
                )
                for source in (sets[0], views)
            )
            compare(f"{name}, {model}: epoch from the cache", count, fresh, cached, device, rounds, "fresh")
            print(f"{'':42} {size / 1e3:.1f} kB an image and view, made at {filled:.1f} images/s", flush=True)


def data(path: Path, model: str, device: str, images: int) -> None:
    """The share of the time that the trainer waits for pictures, by stage and workers."""
    few = few_images(path, images)
    for name in EXPERIMENTS:
        for workers in (0, 1, 2, 4):
            config = TrainConfig(model=model, workers=workers)  # type: ignore[arg-type]
            source = datasets(name, build_network(config.network()), [few], config)[0]
            batches = Waiting(make_loader(source, config, device, 0))
            steps = len(source) // config.batch_size
            epoch = our_epoch(name, config, device, lambda batches=batches: batches, steps)
            epoch()
            began = time.perf_counter()
            epoch()
            rate = steps * config.batch_size / (time.perf_counter() - began)
            print(
                f"{name:12} {model}, workers {workers}: {rate:8.1f} images/s, waiting {batches.share:.1%}", flush=True
            )


def options(model: str, device: str, batch: int, rounds: int, compiler: bool) -> None:
    """What each option of speed gives on this machine: a training step with it beside one without ("theirs")."""
    base = TrainConfig(model=model, batch_size=batch, precision="fp32", channels_last=False)  # type: ignore[arg-type]
    size = base.network().preprocessing.input_size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
    points = torch.rand(batch, 68, 2, generator=generator) * (size - 1)
    target = torch.eye(7)[torch.randint(0, 7, (batch,), generator=generator)]
    sample = Sample(pixels, target, points, torch.ones(batch, dtype=torch.bool))
    tried: dict[str, dict[str, Any]] = {
        "channels_last": {"channels_last": True},
        "precision: bf16": {"precision": "bf16"},
        "channels_last, bf16": {"channels_last": True, "precision": "bf16"},
        "fused_optimizer": {"fused_optimizer": True},
    }
    if compiler:
        tried["compile: inductor"] = {"compile": "inductor"}
    for name in EXPERIMENTS:
        for title, changes in tried.items():
            configs = (base, dataclasses.replace(base, **changes))
            without, with_it = (
                lambda config=config: our_epoch(name, config, device, lambda: [sample], 1)  # noqa: B023
                for config in configs
            )
            compare(f"{name}, {model}: {title}", batch, without, with_it, device, rounds, "without")


def main() -> None:
    """Print the sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, help="a checkout of the authors' code")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, help="images a step of both; default 4 on a CPU, 64 on a GPU")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"), help="of ours")
    parser.add_argument("--compile", default="none", choices=("none", "inductor", "aot_eager"), help="of ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", default=SECTIONS, choices=SECTIONS)
    parser.add_argument("--data", type=Path, help="an index of real images, for data and kept")
    parser.add_argument("--model", default="edge", help="of data, kept and options")
    parser.add_argument("--images", type=int, default=640, help="to train on, in data and kept")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_freed_memory()
    device, rounds = chosen.device, chosen.rounds
    upstream = import_upstream(chosen.upstream) if chosen.upstream else None
    size = chosen.batch or (64 if device.startswith("cuda") else 4)
    config = our_config("resnet101", chosen.precision, chosen.compile, size)
    batch = Batch.random(size, device)
    print(f"torch {torch.__version__}, {device}, threads {chosen.threads}, rounds {rounds}", flush=True)
    if "pairwise" in chosen.only:
        pairwise(upstream, device, rounds)
    if "forward" in chosen.only:
        forward(upstream, config, batch, device, rounds)
    if "stages" in chosen.only:
        stages(upstream, config, batch, device, rounds)
    if "cache" in chosen.only:
        cache(upstream, config, batch, device, rounds)
    if "options" in chosen.only:
        options(chosen.model, device, 64, rounds, chosen.compile == "inductor")
    if "data" in chosen.only and chosen.data:
        data(chosen.data, chosen.model, device, chosen.images)
    if "kept" in chosen.only and chosen.data:
        kept(chosen.data, chosen.model, device, chosen.images, rounds)


if __name__ == "__main__":
    main()
