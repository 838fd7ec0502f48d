"""What a second process gives and changes: steps a second, and the loss curves of one and of several, drawn together.

    python benchmarks/distributed.py --data INDEX.parquet --output DIR [--processes 2] [--device cuda]

Trains one stage on this machine, in one process and in `--processes` that torchrun starts, with the same global batch,
seed and first weights, without dropout (each process draws its own masks) and with the paper's SGD. On a CPU the
processes share the cores that the one has alone. A third run, of one process whose first weights are changed by 1e-7 of
themselves, shows how fast such training lets rounding grow. Prints both rates, their ratio and the largest differences
of the loss; DIR/curves.png shows the losses of every step.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import torch

from aue_crl_core.checkpoint import CheckpointInfo, save_network
from aue_crl_core.config import model_config
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.networks.build import build_network
from aue_crl_core.training.config import Schedule, TrainConfig
from aue_crl_core.training.reporter import Silent
from aue_crl_core.training.run import train

NUDGE: Final = 1e-7


class Recorder(Silent):
    """Notes the loss of every step, and the seconds between steps of one epoch."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self._last = 0.0

    def step(self, step: int, loss: float) -> None:
        """A batch is done."""
        now = time.perf_counter()
        if step:
            self.seconds.append(now - self._last)
        self._last = now
        self.losses.append(loss)


def work(options: argparse.Namespace) -> None:
    """Train, as one process of several or alone; the first leaves DIR/NAME.json."""
    schedule = Schedule(options.epochs, options.lr)
    config = TrainConfig(
        model=options.model,
        optimizer="sgd",
        weight_decay=0.0,
        batch_size=options.batch,
        workers=options.workers,
        precision=options.precision,
        cache_dir=str(options.output / f"features-{options.work}"),
        **{options.stage: schedule},
    )
    recorder = Recorder()
    run, index = options.output / f"run-{options.work}", DatasetIndex.read(options.data)
    init = options.output / f"{'nudged' if options.work == 'nudged' else 'start'}.safetensors"
    train(config, [index], run, [options.stage], init=init, device=options.device, reporter=recorder)
    if recorder.losses:
        found = {"losses": recorder.losses, "steps_per_s": 1 / statistics.median(recorder.seconds)}
        (options.output / f"{options.work}.json").write_text(json.dumps(found))


def launch(name: str, processes: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train in so many processes; what the first one recorded."""
    threads = max((os.cpu_count() or 1) // processes, 1)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += [__file__, *sys.argv[1:], "--work", name]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    return json.loads((options.output / f"{name}.json").read_text())


def starts(options: argparse.Namespace) -> None:
    """Write the first weights, and the same changed a little."""
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(model_config(options.model), dropout=0.0))
    save_network(options.output / "start.safetensors", network, CheckpointInfo(network.config))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 1 + NUDGE * torch.randn_like(parameter)
    save_network(options.output / "nudged.safetensors", network, CheckpointInfo(network.config))


def gaps(one: dict[str, Any], other: dict[str, Any]) -> list[float]:
    """How far the losses of each step are apart."""
    return [abs(a - b) for a, b in zip(one["losses"], other["losses"], strict=True)]


def draw(
    one: dict[str, Any], several: dict[str, Any], nudged: dict[str, Any], processes: int, title: str, path: Path
) -> None:
    """Both loss curves, and how far they are apart."""
    figure, (curves, gap) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), height_ratios=(3, 2), layout="constrained")
    curves.plot(one["losses"], label=f"1 process, {one['steps_per_s']:.2f} steps/s", linewidth=3, alpha=0.5)
    label = f"{processes} processes, {several['steps_per_s']:.2f} steps/s"
    curves.plot(several["losses"], label=label, linewidth=1, color="black")
    curves.set(ylabel="loss of the batch", title=title)
    curves.legend()
    gap.semilogy([max(g, 1e-9) for g in gaps(one, several)], color="black", label=f"{processes} processes from 1")
    gap.semilogy([max(g, 1e-9) for g in gaps(one, nudged)], label=f"1 process, weights changed by {NUDGE:g}, from 1")
    gap.set(xlabel="step", ylabel="difference")
    gap.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stage", default="expression", choices=("expression", "action_unit", "fusion"))
    parser.add_argument("--model", default="edge")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--workers", type=int, default=0, help="loader processes of every process")
    parser.add_argument("--work", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    options.output.mkdir(parents=True)
    starts(options)
    one, several = launch("one", 1, options), launch("several", options.processes, options)
    nudged = launch("nudged", 1, options)
    ratio = several["steps_per_s"] / one["steps_per_s"]
    print(f"1 process {one['steps_per_s']:.3f} steps/s, {options.processes} processes {several['steps_per_s']:.3f}")
    print(f"ratio {ratio:.2f}; losses of {len(one['losses'])} steps at most {max(gaps(one, several)):.2g} apart")
    print(f"one process, its first weights changed by {NUDGE:g}: at most {max(gaps(one, nudged)):.2g} apart")
    title = f"{options.model}, stage {options.stage}, global batch {options.batch}, {options.device}"
    draw(one, several, nudged, options.processes, title, options.output / "curves.png")
    print(options.output / "curves.png")


if __name__ == "__main__":
    main()
