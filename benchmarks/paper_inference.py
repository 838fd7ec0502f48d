"""The paper's network on the CPU: the authors' code beside the same weights through onnxruntime, in turns.

    python benchmarks/paper_inference.py --upstream PATH [--batch 1] [--rounds 7] [--threads 2]

PATH is a checkout of HCPLab-SYSU/AUE-CRL whose `.cuda()` calls do not stop it here (see `training.py`), and whose
`model.py` imports the functions that its normalisation calls (`pad`, `avg_pool2d`, `avg_pool3d` of torch). Random
weights and statistics go through `import_upstream` and `export`, as a checkpoint of theirs would; both then get the
same faces. Prints the largest difference of the outputs, milliseconds an image of both, and the median of the rounds'
ratios. Where openvino is installed also ours there, and where the processor multiplies bfloat16 itself also ours in
bfloat16, in torch (`InBfloat16`) and in OpenVINO.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from authors import import_upstream, their_network, their_output
from batch import Batch
from timing import seconds
from torch import Tensor, nn

from aue_crl_core.checkpoint import load_network
from aue_crl_core.checkpoint.export import export_onnx
from aue_crl_core.checkpoint.upstream import import_upstream as read_upstream
from aue_crl_core.checkpoint.upstream import save_imported
from aue_crl_core.engines import Precision, find_weights
from aue_crl_core.engines.openvino import OpenVinoSession, load_openvino
from aue_crl_core.engines.processor import multiplies_bfloat16
from aue_crl_core.networks.deployed import DeployedExpressionNet, InBfloat16
from aue_crl_core.onnx_session import make_session


def with_statistics(network: nn.Module) -> nn.Module:
    """Random weights as they are, and random statistics of the batch norms, so that outputs are not all alike."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.8, 1.2, generator=generator)
    return network.eval()


def convert(theirs: nn.Module, folder: Path) -> tuple[Path, Any]:
    """Their network as an ONNX file, and the same in torch."""
    pickled, checkpoint = folder / "theirs.pth", folder / "paper.safetensors"
    torch.save(theirs.state_dict(), pickled)
    state, config, report = read_upstream(pickled)
    pickled.unlink()
    save_imported(checkpoint, state, config, report, find_weights("edge", "torch"))
    del state
    export_onnx(checkpoint, folder / "paper.onnx")
    return folder / "paper.onnx", load_network(checkpoint)[0].eval()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    theirs = with_statistics(their_network(import_upstream(chosen.upstream), "cpu"))
    sample = Batch.random(chosen.batch, "cpu").sample
    with tempfile.TemporaryDirectory() as folder:
        path, ours = convert(theirs, Path(folder))
        sessions = {
            "onnxruntime, float32": make_session(path, threads=chosen.threads),
            **_openvino(path, chosen.threads),
        }
        feed = {"images": sample.image.permute(0, 2, 3, 1).contiguous().numpy(), "points": sample.points.numpy()}
        deployed = DeployedExpressionNet(ours.to(memory_format=torch.channels_last)).eval()  # as `TorchEngine`
        with torch.inference_mode():
            compare(theirs, ours, deployed, sessions, feed, chosen.rounds)


def _openvino(path: Path, threads: int) -> dict[str, OpenVinoSession]:
    try:
        load_openvino()
    except ImportError:
        return {}
    ways: list[tuple[str, Precision]] = [("OpenVINO, float32", "fp32")]
    if multiplies_bfloat16():
        ways.append(("OpenVINO, bfloat16", "bf16"))
    return {name: OpenVinoSession(path, threads, precision) for name, precision in ways}


def compare(
    theirs: nn.Module,
    ours: Any,
    deployed: nn.Module,
    sessions: dict[str, Any],
    feed: dict[str, np.ndarray],
    rounds: int,
) -> None:
    """Outputs of both, then times in turns."""
    images, points = (torch.from_numpy(feed[name]) for name in ("images", "points"))
    places = ours.action_unit_branch.windows.centres(points).reshape(-1, 17, 4)
    batch = Batch(None, deployed.normalise(images), places, None)  # type: ignore[arg-type]
    first, second, attention = their_output(theirs, "Fuse", batch)
    wanted = [second.softmax(1), first.softmax(1), attention]
    for name, session in sessions.items():
        fused, alone, _, weights = session.run(None, feed)
        pairs: list[tuple[Tensor, np.ndarray]] = list(zip(wanted, (fused, alone, weights), strict=True))
        most = max(float(np.abs(a.numpy() - b).max()) for a, b in pairs)
        print(f"{name}: largest difference of an output: {most:.1e}")
    ways: dict[str, Callable[[], object]] = {
        name: partial(session.run, None, feed) for name, session in sessions.items()
    }
    ways["torch, float32"] = lambda: deployed(images, points)
    if multiplies_bfloat16():
        half = InBfloat16(copy.deepcopy(deployed)).eval()
        ways["torch, bfloat16"] = lambda: half(images, points)
    else:
        print("this processor does not multiply bfloat16 itself: not timed")
    taken: dict[str, list[float]] = {name: [] for name in ("authors", *ways)}
    for _ in range(rounds):
        taken["authors"].append(seconds(lambda: their_output(theirs, "Fuse", batch), "cpu", 0.5))
        for name, way in ways.items():
            taken[name].append(seconds(way, "cpu", 0.5))
    for name, times in taken.items():
        ratios = [theirs / ours for theirs, ours in zip(taken["authors"], times, strict=True)]
        each = 1e3 * statistics.median(times) / len(images)
        spread = f"[{min(ratios):.2f} .. {max(ratios):.2f}]"
        print(f"{name:22} {each:8.1f} ms an image   {statistics.median(ratios):5.2f} x  {spread}")


if __name__ == "__main__":
    main()
