"""What each of two processes does in `test_distributed`: `torchrun ... distributed_process.py FOLDER`.

Compares with what one process computes, and leaves the differences in FOLDER/RANK.json for the tests to judge; then
trains all stages in FOLDER/run-of-RANK.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from pathlib import Path

import torch
from torch import nn

from aue_crl_core.checkpoint import load_network
from aue_crl_core.config import Preprocessing, from_dict, model_config
from aue_crl_core.data.dataset import Sample
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.errors import TrainingError
from aue_crl_core.knowledge import LearnablePrior
from aue_crl_core.losses import pairwise_dependency_loss
from aue_crl_core.networks import build_network
from aue_crl_core.training.batches import feature_cache, loading
from aue_crl_core.training.batches.loading import datasets, make_loader
from aue_crl_core.training.config import TrainConfig, make_config
from aue_crl_core.training.loop import Learner, validate
from aue_crl_core.training.processes.batch_norm import share_statistics
from aue_crl_core.training.processes.processes import ALONE, Processes, joined
from aue_crl_core.training.run import train
from aue_crl_core.training.stages import STAGES, Setting, Stage, stage_of

STAGE_ORDER = ("expression", "action_unit", "fusion", "landmark")


def small_portions() -> None:
    """Validation batches and cache blocks so small that 12 and 36 images make several, the last one odd."""
    loading.VALIDATION_BATCH = 5
    feature_cache.BLOCK = 8


def read(folder: Path) -> tuple[TrainConfig, DatasetIndex]:
    config = from_dict(TrainConfig, json.loads((folder / "config.json").read_text()), "config")
    return config, DatasetIndex.read(folder / "index.parquet")


def curve(folder: Path, output: Path) -> None:
    """Train all stages, the landmark net last, so that the others use the one that is given."""
    config, index = read(folder)
    train(config, [index], output, STAGE_ORDER, init=folder / "init.safetensors")


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.float() - other.float()).detach().abs().max())


def batch_norm(processes: Processes, norm: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, float]:
    """Differences from the same normalisation of the whole batch: output, gradients, statistics, evaluation."""
    torch.manual_seed(0)
    whole = nn.Sequential(norm, nn.ReLU(inplace=True))
    nn.init.normal_(norm.weight)
    shared = copy.deepcopy(whole)
    share_statistics(shared, processes)
    assert type(shared[0]) is not type(norm)
    inputs = (torch.randn(shape) * 3 + 20).to(dtype)
    weights = torch.randn(shape)
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    rows = processes.rows(inputs).detach().requires_grad_()
    inputs.requires_grad_()
    expected, got = whole(inputs), shared(rows)
    (expected * weights).sum().backward()
    (got * processes.rows(weights)).sum().backward()
    found = {
        "output": difference(got, processes.rows(expected)),
        "input gradient": difference(rows.grad, processes.rows(inputs.grad)),
        "names": float(shared.state_dict().keys() != whole.state_dict().keys()),
    }
    for name in ("weight", "bias"):
        summed = processes.mean(getattr(shared[0], name).grad) * processes.world_size
        found[f"{name} gradient"] = difference(summed, getattr(norm, name).grad)
    for name, buffer in shared.named_buffers():
        found[name] = difference(buffer, whole.get_buffer(name))
    found["evaluation"] = difference(shared.eval()(rows), processes.rows(whole.eval()(inputs)))
    return found


def pairwise(processes: Processes) -> dict[str, float]:
    """Difference of the averaged gradient of the pairwise loss from the whole batch's, and that gradient's size."""
    torch.manual_seed(0)
    alone = nn.Linear(6, 17)
    together = copy.deepcopy(alone)
    inputs = torch.randn(8, 6) * 2
    expected = pairwise_dependency_loss(alone(inputs).sigmoid(), "corrected")
    expected.backward()
    module = processes.average_gradients(together)
    got = pairwise_dependency_loss(processes.gather_rows(module(processes.rows(inputs)).sigmoid()), "corrected")
    got.backward()
    return {
        "loss": difference(got, expected),
        "gradient": difference(together.weight.grad, alone.weight.grad),
        "size": float(alone.weight.grad.abs().max()),
    }


def _of_the_papers_form() -> dict[str, Stage]:
    """The stages that train the network of these tests."""
    return {name: stage for name, stage in STAGES.items() if stage.knowledge != "odds"}


def gradients(processes: Processes, folder: Path) -> dict[str, dict[str, float]]:
    """For each stage: how far the loss terms and the gradient of a batch are from those of one process, relative."""
    config, index = read(folder)
    found = {}
    for name, stage in _of_the_papers_form().items():
        ways = []
        for here in (ALONE, processes):
            network = load_network(folder / "init.safetensors")[0]
            share_statistics(network, here)
            setting = Setting(config, LearnablePrior("basic"), torch.zeros(7), here)
            weights, prior = stage.prepare(network, setting.prior, training=True)
            learner = Learner(network, stage, setting, torch.optim.SGD(weights + prior), "cpu")
            batch = next(iter(make_loader(datasets(name, network, [index], config)[0], config, "cpu", 0, here)))
            terms = learner.losses(batch)
            sum(terms.values()).backward()
            trained = [p.grad.flatten() for p in (*network.parameters(), setting.prior.table) if p.requires_grad]
            ways.append((processes.mean(torch.stack(list(terms.values()))), torch.cat(trained)))
        (loss, gradient), (our_loss, our_gradient) = ways
        found[name] = {
            "loss": float(((our_loss - loss) / loss.clamp(min=1e-6)).abs().max()),  # a term may be 0
            "gradient": float((our_gradient - gradient).norm() / gradient.norm()),
            "parameters": gradient.numel(),
        }
    return found


def island(processes: Processes) -> dict[str, float]:
    """Differences of a batch of island loss from that of one process: terms, gradient (relative), and the centres."""
    small = Preprocessing(input_size=64)
    shape = dataclasses.replace(model_config("edge"), method="island", preprocessing=small, dropout=0.0)
    stage = stage_of("expression", shape)
    torch.manual_seed(0)
    network, criterion = build_network(shape), stage.criterion(shape)
    images, target = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8), torch.eye(7)[torch.arange(8) % 3]
    batch = Sample(images, target, torch.zeros(8, 68, 2), torch.ones(8).bool(), identity=torch.arange(8))
    ways = []
    for here in (ALONE, processes):
        own, centres = copy.deepcopy(network), copy.deepcopy(criterion)
        share_statistics(own, here)
        setting = Setting(make_config(None, precision="fp32"), LearnablePrior("basic"), torch.zeros(7), here, centres)
        weights, _ = stage.prepare(own, setting.prior, training=True)
        rows = batch._replace(**{name: here.rows(part) for name, part in batch._asdict().items() if name != "evidence"})
        learner = Learner(own, stage, setting, torch.optim.SGD(weights), "cpu")
        terms = learner.losses(rows)
        sum(terms.values()).backward()
        gradient = torch.cat([p.grad.flatten() for p in weights])
        ways.append((here.mean(torch.stack(list(terms.values()))), gradient, centres.centres.centres))
    (loss, gradient, centres), (our_loss, our_gradient, our_centres) = ways
    return {
        "terms": float(((our_loss - loss) / loss).abs().max()),
        "gradient": float((our_gradient - gradient).norm() / gradient.norm()),
        "centres": difference(our_centres, centres),
        "moved": difference(centres, criterion.centres.centres),
    }


def validation(processes: Processes, folder: Path) -> dict[str, list[dict[str, float]]]:
    """For each stage the figures of one process, and of both."""
    config, index = read(folder)
    network = load_network(folder / "init.safetensors")[0]
    figures = {}
    for name, stage in _of_the_papers_form().items():
        valid = datasets(name, network, [index], config)[1]
        setting = Setting(config, LearnablePrior("basic"), torch.zeros(7))
        both = dataclasses.replace(setting, processes=processes)
        figures[name] = [
            validate(network, stage, setting, make_loader(valid, config, "cpu", None), "cpu"),
            validate(network, stage, both, make_loader(valid, config, "cpu", None, processes), "cpu"),
        ]
    return figures


def failure_on_first(processes: Processes) -> str:
    def fail() -> None:
        raise TrainingError("the directory is full")

    try:
        processes.on_first(fail)
    except TrainingError as error:
        return str(error)
    return "nothing was raised"


def sent(processes: Processes) -> bool:
    """Whether what the first process has arrives as it was."""
    tensors = {
        "weights": torch.arange(6.0).view(2, 3),
        "count": torch.tensor(7),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.empty(0),
    }
    name, arrived = processes.share_tensors(lambda: (f"from {processes.rank}", tensors))
    same = arrived.keys() == tensors.keys() and all(torch.equal(arrived[key], tensors[key]) for key in tensors)
    return same and name == "from 0" and processes.gather(processes.rank) == [0, 1]


def seeds_of_dropout(seeds: list[int]) -> None:
    """Have `seeds` filled with what each call of a dropout layer in training would draw from."""

    def note(module: nn.Module, *_: object) -> None:
        if isinstance(module, nn.Dropout) and module.training:
            seeds.append(torch.initial_seed())

    nn.modules.module.register_module_forward_hook(note)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    small_portions()
    with joined("cpu") as processes:
        found = {
            "maps": batch_norm(processes, nn.BatchNorm2d(5), (6, 5, 4, 3), torch.float32),
            "vectors": batch_norm(processes, nn.BatchNorm1d(5), (6, 5), torch.float32),
            "one row each": batch_norm(processes, nn.BatchNorm1d(5), (2, 5), torch.float32),
            "bf16": batch_norm(processes, nn.BatchNorm2d(5), (6, 5, 4, 3), torch.bfloat16),
            "pairwise": pairwise(processes),
            "gradients": gradients(processes, folder),
            "island": island(processes),
            "validation": validation(processes, folder),
            "failure": failure_on_first(processes),
            "sent": sent(processes),
        }
        rank = processes.rank
    found["seeds"] = []
    seeds_of_dropout(found["seeds"])
    curve(folder, folder / f"run-of-{rank}")
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
