"""What a training step sends, on paper: computed from the network's shapes, not measured.

    python benchmarks/traffic.py [--model resnet101] [--within 200] [--between 12.5]

Prints the table of docs/distributed.md. Gradients go round a ring: each of N processes sends 2 (N - 1) / N times their
bytes. `--within` and `--between` are the bandwidths of a host's GPUs and of its network, in 10^9 bytes a second.
"""

from __future__ import annotations

import argparse
from typing import Final

from torch.nn.modules.batchnorm import _BatchNorm

from aue_crl_core.config import model_config
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.build import build_network
from aue_crl_core.training.stages import STAGES, Stage

FLOAT: Final = 4
COUNTS: Final = (2, 8, 16, 64)
PER_HOST: Final = 8


def gradient_bytes(network: AueCrl, stage: Stage) -> int:
    """Bytes of the float32 gradients of what a stage trains."""
    weights, prior = stage.prepare(network, LearnablePrior(network.config.vocabulary), training=True)
    return FLOAT * sum(parameter.numel() for parameter in (*weights, *prior))


def sent(size: int, processes: int) -> float:
    """Bytes that each process sends in a ring all-reduce of `size` bytes."""
    return 2 * (processes - 1) / processes * size


def statistics_bytes(network: AueCrl, stage: Stage) -> tuple[int, int]:
    """Batch normalisation: layers that a stage trains, and bytes of their means and variances."""
    parts = [network.get_submodule(path) for path in stage.trained]
    layers = [module for part in parts for module in part.modules() if isinstance(module, _BatchNorm)]
    return len(layers), 2 * FLOAT * sum(layer.num_features for layer in layers)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet101")
    parser.add_argument("--within", type=float, default=200.0)
    parser.add_argument("--between", type=float, default=12.5)
    options = parser.parse_args()
    network = build_network(model_config(options.model))
    heads = " | ".join(f"{count} GPUs, ms" for count in COUNTS)
    print(f"| stage | gradients, MB | {heads} | normalisations | their statistics, kB |")
    print("|---|---|" + "---|" * len(COUNTS) + "---|---|")
    for name, stage in STAGES.items():
        size = gradient_bytes(network, stage)
        layers, statistics = statistics_bytes(network, stage)
        times = []
        for count in COUNTS:
            bandwidth = options.within if count <= PER_HOST else options.between
            times.append(f"{sent(size, count) / bandwidth / 1e6:.3g}")
        print(f"| {name} | {size / 1e6:.1f} | {' | '.join(times)} | {layers} | {statistics / 1e3:.1f} |")


if __name__ == "__main__":
    main()
